#include "skipattn/experiments/report/svg_heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/svg_axis.h"

namespace skipattn::experiments::svg {

namespace {

const std::vector<routing::Source>& sources_of(const routing::Route& route, RoutingSide side) {
  return side == RoutingSide::kKeys ? route.keys : route.values;
}

/// Distance to the farthest source; -1 for nothing.
int distance_of(const std::vector<routing::Source>& sources, int layer) {
  int distance = -1;
  for (const routing::Source& source : sources) distance = std::max(distance, layer - source.layer);
  return distance;
}

/// "own", "9 back", "0 + 9 back (2 sources)", "none": what neighbouring cells are merged by.
std::string short_source(const routing::Route& route, RoutingSide side, int layer, int head) {
  const auto& sources = sources_of(route, side);
  if (sources.empty()) return "nothing";
  std::vector<std::string> parts;
  for (const routing::Source& source : sources) {
    std::string part = source.layer == layer ? "own layer" : fmt::format("{} back", layer - source.layer);
    if (source.head != head) part += fmt::format(", head {}", source.head);
    parts.push_back(part);
  }
  return join(parts, " + ");
}

std::string range_text(const char* one, int first, int last) {
  return first == last ? fmt::format("{} {}", one, first) : fmt::format("{}s {}–{}", one, first, last);
}

std::string draw_cell(const std::vector<routing::Source>& sources, int layer, double size, int max_distance) {
  const int distance = distance_of(sources, layer);
  if (distance < 0) {
    return fmt::format(
        "<rect class=\"none\" width=\"{0}\" height=\"{0}\"/><path class=\"cross\" "
        "d=\"M4 4L{1} {1}M{1} 4L4 {1}\"/>",
        size - 1, size - 5);
  }
  std::string out = fmt::format("<rect class=\"own\" width=\"{0}\" height=\"{0}\"/>", size - 1);
  const double strength = 0.25 + 0.75 * distance / max_distance;
  if (distance > 0) {
    out +=
        fmt::format("<rect class=\"heat\" width=\"{0}\" height=\"{0}\" fill-opacity=\"{1:.2f}\"/>", size - 1, strength);
  }
  if (size >= 20 && (distance > 0 || sources.size() > 1)) {
    const std::string text = sources.size() > 1 ? fmt::format("{}×", sources.size()) : std::to_string(sources[0].layer);
    out += fmt::format("<text x=\"{0:.1f}\" y=\"{0:.1f}\" dy=\".36em\" class=\"{1}\">{2}</text>", (size - 1) / 2,
                       strength > 0.55 && distance > 0 ? "on" : "off", text);
  }
  return out;
}

}  // namespace

std::string source_text(const routing::Route& route, RoutingSide side, int layer, int head) {
  const auto& sources = sources_of(route, side);
  if (sources.empty()) return "nothing (no attention)";
  std::vector<std::string> parts;
  for (const routing::Source& source : sources) {
    std::string part = source.layer == layer ? "its own layer" : fmt::format("layer {}", source.layer);
    if (source.head != head) part += fmt::format(", head {}", source.head);
    if (source.layer != layer) part += fmt::format(" ({} back)", layer - source.layer);
    parts.push_back(part);
  }
  return join(parts, " and ");
}

std::string heat_map(const std::string& id, const ReportVariant& variant, RoutingSide side, int max_distance) {
  if (variant.routes.empty() || variant.routes[0].empty()) return "";
  const char* what = side == RoutingSide::kKeys ? "keys" : "values";
  const size_t heads = variant.routes[0].size();
  const double cell = heads > 16 || variant.routes.size() > 24 ? 14 : 24;
  const double left = 34;
  const double top = 32;
  const double width = std::max(left + cell * static_cast<double>(heads) + 4, 200.0);
  const double height = top + cell * static_cast<double>(variant.routes.size()) + 6;

  std::string out =
      open_svg(id, width, height, fmt::format("{}: where {} come from", variant.name, what),
               fmt::format("One row a layer, layer 0 on top, one column a KV head; darker cells read their "
                           "{} from further back. The table below says the same in words.",
                           what));
  out += fmt::format(
      "<g class=\"axis\"><text class=\"label\" x=\"{}\" y=\"10\">KV head →</text>"
      "<text class=\"label\" x=\"2\" y=\"{}\">layer</text>",
      left, top - 5);
  const int stride = cell < 20 ? 4 : 1;
  for (size_t head = 0; head < heads; head += static_cast<size_t>(stride)) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                       left + cell * (static_cast<double>(head) + 0.5), top - 5, head);
  }
  for (size_t layer = 0; layer < variant.routes.size(); ++layer) {
    const double y = top + cell * static_cast<double>(layer);
    if (layer % static_cast<size_t>(stride) == 0) {
      out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" dy=\".35em\" text-anchor=\"end\">{}</text>", left - 6,
                         y + cell / 2, layer);
    }
  }
  out += "</g>\n";
  for (size_t layer = 0; layer < variant.routes.size(); ++layer) {
    for (size_t head = 0; head < variant.routes[layer].size(); ++head) {
      const routing::Route& route = variant.routes[layer][head];
      const int l = static_cast<int>(layer);
      std::string tip = fmt::format("layer {}, KV head {}: {} from {}", layer, head, what,
                                    source_text(route, side, l, static_cast<int>(head)));
      if (layer < variant.windows.size() && variant.windows[layer] > 0) {
        tip += fmt::format("; looks {} tokens back", variant.windows[layer]);
      }
      out += fmt::format(
          "<g class=\"cell\" transform=\"translate({:.0f} {:.0f})\" "
          "data-tip=\"{}\"><title></title>{}"
          "</g>\n",
          left + cell * static_cast<double>(head), top + cell * static_cast<double>(layer), html::escape(tip),
          draw_cell(sources_of(route, side), l, cell, max_distance));
    }
  }
  return out + "</svg>\n";
}

int largest_distance(const ReportData& data) {
  int largest = 1;
  for (const ReportVariant& variant : data.variants) {
    for (size_t layer = 0; layer < variant.routes.size(); ++layer) {
      for (const routing::Route& route : variant.routes[layer]) {
        const int l = static_cast<int>(layer);
        largest = std::max({largest, distance_of(route.keys, l), distance_of(route.values, l)});
      }
    }
  }
  return largest;
}

std::vector<RoutingLine> routing_lines(const ReportVariant& variant) {
  struct Span {
    int first_head, last_head;
    std::string keys, values;
    bool operator==(const Span&) const = default;
  };
  std::vector<RoutingLine> lines;
  std::vector<Span> previous;
  int first_layer = 0;
  const auto flush = [&](int last_layer) {
    for (const Span& span : previous) {
      lines.push_back({range_text("layer", first_layer, last_layer),
                       range_text("head", span.first_head, span.last_head), span.keys, span.values});
    }
  };
  for (int layer = 0; layer < static_cast<int>(variant.routes.size()); ++layer) {
    std::vector<Span> spans;
    for (int head = 0; head < static_cast<int>(variant.routes[layer].size()); ++head) {
      const routing::Route& route = variant.routes[layer][head];
      const Span span{head, head, short_source(route, RoutingSide::kKeys, layer, head),
                      short_source(route, RoutingSide::kValues, layer, head)};
      const bool same = !spans.empty() && spans.back().keys == span.keys && spans.back().values == span.values;
      if (same) spans.back().last_head = head;
      if (!same) spans.push_back(span);
    }
    if (layer > 0 && spans != previous) {
      flush(layer - 1);
      first_layer = layer;
    }
    previous = spans;
  }
  if (!variant.routes.empty()) flush(static_cast<int>(variant.routes.size()) - 1);
  return lines;
}

}  // namespace skipattn::experiments::svg
