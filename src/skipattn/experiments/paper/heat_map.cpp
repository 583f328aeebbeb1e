#include "skipattn/experiments/paper/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/experiments/paper/colours.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments {

namespace {

constexpr double kWidth = 340, kLeft = 58, kMapRight = 260, kBarWidth = 10, kMostColumn = 72, kLeastHeight = 76,
                 kLine = 9.5;
/// Told apart by all kinds of colour vision, and in print by the words.
const std::string &kBetterColour = kPaperSeries[1], &kWorseColour = kPaperSeries[2];
const std::string kInk = "#1c1e21", kNothing = "#f1f1ee";

/// Where everything lies.
struct Frame {
  double top = 0, column = 0, row = 0, right = 0, bottom = 0;
  bool numbers = false;  ///< they fit
  int decimals = 3;
  double largest = 0;  ///< absolute value of the full colours
};

std::string value_text(const HeatCell& cell, int decimals) {
  return signed_text(*cell.value, decimals);
}

std::string spread_text(const HeatCell& cell, int decimals) {
  return fmt::format("± {:.{}f}", *cell.half_width, decimals);
}

double widest_text(const HeatMap& map, int decimals) {
  double width = 0;
  for (const HeatCell& cell : map.cells) {
    if (cell.value) width = std::max(width, text_width(value_text(cell, decimals), {.bold = true}));
    if (cell.value && cell.half_width) width = std::max(width, text_width(spread_text(cell, decimals), {.size = 7}));
    width = std::max(width, text_width(cell.absent, {.size = 7}));
  }
  return width;
}

Frame frame_of(const HeatMap& map) {
  Frame frame;
  frame.top = map.subtitle.empty() ? 22 : 32;
  frame.column = std::min(kMostColumn, (kMapRight - kLeft) / static_cast<double>(map.columns.size()));
  frame.decimals = 2;
  for (const HeatCell& cell : map.cells) {
    if (cell.value) frame.largest = std::max(frame.largest, std::abs(*cell.value));
    if (cell.half_width) frame.decimals = std::max(frame.decimals, decimals_for(*cell.half_width));
  }
  if (frame.largest == 0) frame.largest = 1e-3;  // no differences at all: some scale
  frame.decimals = std::max(frame.decimals, decimals_for(frame.largest));
  frame.numbers = widest_text(map, frame.decimals) + 6 <= frame.column;
  // The colour scale beside them needs some height.
  frame.row = std::max(frame.numbers ? 38.0 : 22.0, kLeastHeight / static_cast<double>(map.rows.size()));
  frame.right = kLeft + frame.column * static_cast<double>(map.columns.size());
  frame.bottom = frame.top + frame.row * static_cast<double>(map.rows.size());
  return frame;
}

std::vector<Point> box(double left, double top, double right, double bottom) {
  return {{left, top}, {right, top}, {right, bottom}, {left, bottom}};
}

void draw_cell(Drawing& drawing, const HeatCell& cell, const Frame& frame, Point at) {
  const double right = at.x + frame.column, bottom = at.y + frame.row, middle = (at.x + right) / 2;
  drawing.polygon(box(at.x, at.y, right, bottom),
                  {.stroke = "#ffffff", .fill = cell.value ? heat_colour(*cell.value, frame.largest) : kNothing});
  const bool told = cell.value && cell.verdict != Verdict::kCannotTell;
  if (told) drawing.polygon(box(at.x + 2, at.y + 2, right - 2, bottom - 2), {.stroke = kInk, .width = 1.4});
  if (!frame.numbers) return;
  const int lines = cell.value ? 1 + (cell.half_width ? 1 : 0) + (told ? 1 : 0) : 1;
  double y = (at.y + bottom) / 2 + 2.8 - kLine * (lines - 1) / 2;
  const auto line = [&](const std::string& text, double size, bool bold) {
    drawing.text({middle, y}, text, {.size = size, .anchor = Anchor::kMiddle, .colour = kInk, .bold = bold});
    y += kLine;
  };
  if (!cell.value) return line(cell.absent, 7, false);
  line(value_text(cell, frame.decimals), 8, true);
  if (cell.half_width) line(spread_text(cell, frame.decimals), 7, false);
  if (told) line(std::string(verdict_name(cell.verdict)), 7, true);
}

void draw_axes(Drawing& drawing, const HeatMap& map, const Frame& frame) {
  for (size_t c = 0; c < map.columns.size(); ++c)
    drawing.text({kLeft + frame.column * (static_cast<double>(c) + 0.5), frame.bottom + 11},
                 fitted(map.columns[c], frame.column - 2), {.anchor = Anchor::kMiddle, .colour = kPaperAxis});
  for (size_t r = 0; r < map.rows.size(); ++r)
    drawing.text({kLeft - 5, frame.top + frame.row * (static_cast<double>(r) + 0.5) + 2.8},
                 fitted(map.rows[r], kLeft - 24), {.anchor = Anchor::kEnd, .colour = kPaperAxis});
  drawing.text({(kLeft + frame.right) / 2, frame.bottom + 24}, map.x_label, {.anchor = Anchor::kMiddle});
  drawing.text({12, (frame.top + frame.bottom) / 2}, map.y_label, {.anchor = Anchor::kMiddle, .upward = true});
}

/// The colours beside the map, 0 in the middle.
void draw_scale(Drawing& drawing, const HeatMap& map, const Frame& frame) {
  constexpr int kStrips = 80;
  const double left = frame.right + 16, right = left + kBarWidth;
  const svg::Scale y{-frame.largest, frame.largest, frame.bottom - 8, frame.top + 8, false};
  for (int strip = 0; strip < kStrips; ++strip) {
    const double from = frame.largest * (2.0 * strip / kStrips - 1),
                 to = frame.largest * (2.0 * (strip + 1) / kStrips - 1);
    // Each reaches to the end, under the next ones: no seams between them.
    drawing.polygon(box(left, y(frame.largest), right, y(from)), {.fill = heat_colour((from + to) / 2, frame.largest)});
  }
  drawing.polygon(box(left, y(frame.largest), right, y(-frame.largest)), {.stroke = kPaperAxis, .width = 0.6});
  double widest = 0;
  for (const svg::Tick& tick : svg::linear_ticks(-frame.largest, frame.largest, 5)) {
    widest = std::max(widest, text_width(tick.label, {}));
    drawing.line({{right, y(tick.value)}, {right + 3, y(tick.value)}}, {.stroke = kPaperAxis, .width = 0.6});
    drawing.text({right + 5, y(tick.value) + 2.8}, tick.label, {.colour = kPaperAxis});
  }
  const double middle = (left + right) / 2;
  drawing.text({middle, frame.top + 3}, "worse", {.size = 7, .anchor = Anchor::kMiddle, .colour = kPaperAxis});
  drawing.text({middle, frame.bottom + 2}, "better", {.size = 7, .anchor = Anchor::kMiddle, .colour = kPaperAxis});
  drawing.text({right + widest + 17, (frame.top + frame.bottom) / 2}, map.unit,
               {.anchor = Anchor::kMiddle, .upward = true});
}

}  // namespace

std::string heat_colour(double value, double largest) {
  constexpr double kFull = 0.72;  // full colours are thinned, so that dark text can be read on them
  const double share = std::min(1.0, std::abs(value) / largest);
  return lighter(value < 0 ? kBetterColour : kWorseColour, 1 - kFull * share);
}

Drawing draw_heat_map(const HeatMap& map) {
  const Frame frame = frame_of(map);
  Drawing drawing{kWidth, 0, map.title};
  drawing.text({6, 12}, map.title, {.size = 9, .bold = true});
  if (!map.subtitle.empty())
    drawing.text({6, 23}, fitted(map.subtitle, kWidth - 12, {.size = 7}), {.size = 7, .colour = kPaperAxis});
  for (size_t i = 0; i < map.cells.size(); ++i) {
    const Point at{kLeft + frame.column * static_cast<double>(i % map.columns.size()),
                   frame.top + frame.row * static_cast<double>(i / map.columns.size())};
    draw_cell(drawing, map.cells[i], frame, at);
  }
  draw_axes(drawing, map, frame);
  draw_scale(drawing, map, frame);
  double y = frame.bottom + 38;
  for (const std::string& note : map.notes) {
    drawing.text({6, y}, note, {.size = 7, .colour = kPaperAxis});
    y += kLine;
  }
  drawing.height = y;
  return drawing;
}

}  // namespace skipattn::experiments
