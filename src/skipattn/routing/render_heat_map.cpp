#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "skipattn/routing/chain.h"
#include "skipattn/routing/render.h"

namespace skipattn::routing {

namespace {

constexpr size_t kWidestLine = 110;  // panels that would be wider stand below each other

/// What one head does on one side, enough to draw its cell.
struct Cell {
  std::string mark;   ///< plain characters
  int distance = -1;  ///< layers back, the farthest source; -1: no attention
};

Cell cell_of(const std::vector<Source>& sources, int layer, int head) {
  if (sources.empty()) return {"x", -1};
  int nearest = layer;
  for (const Source& source : sources) nearest = std::min(nearest, source.layer);
  const int distance = layer - nearest;
  if (sources.size() > 1) return {fmt::format("+{}", sources.size()), distance};
  if (sources[0].head != head) return {fmt::format("{}'", distance), distance};
  return {distance == 0 ? "." : std::to_string(distance), distance};
}

/// Colours of the 6 x 6 x 6 cube from near (dark blue) to far (yellow), and the text that is
/// readable on them.
struct Color {
  int background;
  int text;
  bool operator==(const Color&) const = default;
};
constexpr std::array<Color, 8> kRamp = {
    {{18, 231}, {25, 231}, {31, 231}, {36, 231}, {71, 16}, {113, 16}, {185, 16}, {226, 16}}};
constexpr Color kOwn = {236, 250};
constexpr Color kNone = {88, 231};

Color color_of(int distance, int farthest) {
  if (distance < 0) return kNone;
  if (distance == 0) return kOwn;
  if (farthest <= 1) return kRamp.back();
  return kRamp[static_cast<size_t>(distance - 1) * (kRamp.size() - 1) / static_cast<size_t>(farthest - 1)];
}

/// Draws all cells of one routing with one width and one colour scale.
class Canvas {
 public:
  Canvas(const Routing& routing, bool color) : routing_(routing), color_(color) {
    // A column's head number stands above it, so that decides the least width as well.
    width_ = std::to_string(routing.shape.kv_heads - 1).size() + 1;
    for (const std::vector<Source> Route::*side : {&Route::keys, &Route::values}) {
      for (int layer = 0; layer < routing.shape.layers; ++layer) {
        for (int head = 0; head < routing.shape.kv_heads; ++head) {
          const Cell cell = cell_of(routing.routes[layer][head].*side, layer, head);
          farthest_ = std::max(farthest_, cell.distance);
          width_ = std::max(width_, cell.mark.size() + 1);
          note(cell.mark);
        }
      }
    }
  }

  size_t panel_width() const { return width_ * static_cast<size_t>(routing_.shape.kv_heads); }

  std::string head_numbers() const {
    std::string line;
    for (int head = 0; head < routing_.shape.kv_heads; ++head) line += fmt::format("{:>{}}", head, width_);
    return line;
  }

  std::string cells(const std::vector<Source> Route::*side, int layer) const {
    std::vector<std::pair<std::string, int>> parts;
    for (int head = 0; head < routing_.shape.kv_heads; ++head) {
      const Cell cell = cell_of(routing_.routes[layer][head].*side, layer, head);
      parts.emplace_back(fmt::format("{:>{}}", cell.mark, width_), cell.distance);
    }
    return paint(parts);
  }

  /// One line: the meaning of every mark that occurs, and the colours' scale.
  std::string legend() const {
    std::string line = ". own layer";
    if (has_number_) line += "   a number: so many layers back";
    if (has_other_head_) line += "   3' another head of that layer";
    if (has_joint_) line += "   +2 two sources jointly";
    if (has_none_) line += "   x no attention";
    if (!color_ || farthest_ < 1) return line;
    const int steps = std::min(farthest_, static_cast<int>(kRamp.size()));
    std::vector<std::pair<std::string, int>> parts;
    for (int step = 0; step < steps; ++step)
      parts.emplace_back(" ", steps == 1 ? 1 : 1 + step * (farthest_ - 1) / (steps - 1));
    return fmt::format("{}   near {} far", line, paint(parts));
  }

 private:
  void note(const std::string& mark) {
    if (mark == "x")
      has_none_ = true;
    else if (mark.front() == '+')
      has_joint_ = true;
    else if (mark.back() == '\'')
      has_other_head_ = true;
    else if (mark != ".")
      has_number_ = true;
  }

  /// Texts on the colours of their distances, an escape sequence only where the colour changes.
  std::string paint(const std::vector<std::pair<std::string, int>>& parts) const {
    std::string line;
    std::optional<Color> current;
    for (const auto& [text, distance] : parts) {
      const Color color = color_of(distance, farthest_);
      if (color_ && current != color) line += fmt::format("\x1b[48;5;{}m\x1b[38;5;{}m", color.background, color.text);
      current = color;
      line += text;
    }
    return color_ ? line + "\x1b[0m" : line;
  }

  const Routing& routing_;
  bool color_;
  size_t width_ = 0;
  int farthest_ = 0;
  bool has_number_ = false;
  bool has_other_head_ = false;
  bool has_joint_ = false;
  bool has_none_ = false;
};

/// What stands right of a layer's cells: its live heads and its window.
std::string layer_note(const LayerPlan& layer) {
  std::string note = fmt::format("{:>6}{:>6}", layer.live_keys.size(), layer.live_values.size());
  if (layer.window > 0) note += fmt::format("   window {}", layer.window);
  return note;
}

std::string side_by_side(const Canvas& canvas, const Plan& plan) {
  const size_t width = canvas.panel_width();
  std::string text = fmt::format("layer  {:<{}}   {:<{}}   live K     V\n", "keys", width, "values", width);
  text += fmt::format("       {}   {}\n", canvas.head_numbers(), canvas.head_numbers());
  for (size_t layer = 0; layer < plan.layers.size(); ++layer)
    text += fmt::format("{:>5}  {}   {}   {}\n", layer, canvas.cells(&Route::keys, static_cast<int>(layer)),
                        canvas.cells(&Route::values, static_cast<int>(layer)), layer_note(plan.layers[layer]));
  return text;
}

std::string stacked(const Canvas& canvas, const Plan& plan) {
  std::string text;
  for (const bool is_keys : {true, false}) {
    text += fmt::format("layer  {:<{}}   live K     V\n", is_keys ? "keys" : "values", canvas.panel_width());
    text += fmt::format("       {}\n", canvas.head_numbers());
    for (size_t layer = 0; layer < plan.layers.size(); ++layer)
      text += fmt::format("{:>5}  {}   {}\n", layer,
                          canvas.cells(is_keys ? &Route::keys : &Route::values, static_cast<int>(layer)),
                          layer_note(plan.layers[layer]));
    text += '\n';
  }
  return text;
}

}  // namespace

std::string render_heat_map(const Routing& routing, bool color) {
  const Plan plan = make_plan(routing);
  const Routing resolved = resolve_chain(routing);
  const Canvas canvas(resolved, color);
  const bool fits = 2 * canvas.panel_width() + 25 <= kWidestLine;
  return (fits ? side_by_side(canvas, plan) : stacked(canvas, plan)) + canvas.legend() + '\n';
}

}  // namespace skipattn::routing
