#include "skipattn/experiments/report/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments::svg {

namespace {

constexpr double kWidth = 480;
constexpr double kHeight = 290;
constexpr double kLeft = 58;
constexpr double kRight = 468;
constexpr double kTop = 30;
constexpr double kBottom = 244;

struct Range {
  double low = INFINITY;
  double high = -INFINITY;
  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  double size() const { return high - low; }
};

/// The values in the frame. Spreads count up to 1.5 times the lines' own range: the interval of two
/// seeds is often a hundred times wider than anything else, and its ends then leave the frame.
Range y_range(const LineChart& chart) {
  Range lines;
  for (const ChartSeries& series : chart.series) {
    for (const double y : series.curve.y) lines.take(y);
  }
  if (lines.empty()) return lines;
  if (chart.zero_line) lines.take(0);
  Range all = lines;
  const double reach = 1.5 * lines.size();
  for (const ChartSeries& series : chart.series) {
    for (const auto& spread : series.curve.spread) {
      if (!spread) continue;
      all.take(std::max(spread->low, lines.low - reach));
      all.take(std::min(spread->high, lines.high + reach));
    }
  }
  if (chart.y_top && *chart.y_top > all.low) all.high = std::min(all.high, *chart.y_top);
  const double pad = all.size() > 0 ? 0.05 * all.size() : std::max(1e-3, std::abs(all.high) * 0.01);
  return {all.low - pad, all.high + pad};
}

Range x_range(const LineChart& chart) {
  Range range;
  for (const ChartSeries& series : chart.series) {
    for (const double x : series.curve.x) range.take(x);
  }
  if (range.size() > 0) return range;
  return chart.log2_x ? Range{range.low / 2, range.high * 2} : Range{range.low - 1, range.high + 1};
}

std::string axes(const LineChart& chart, const Scale& x, const Scale& y) {
  std::string out = "<g class=\"axis\">";
  for (const Tick& tick : linear_ticks(y.low, y.high, 5)) {
    const double at = y(tick.value);
    out += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3}\" y=\"{2:.1f}\" dy=\".35em\" text-anchor=\"end\">{4}</text>",
        kLeft, kRight, at, kLeft - 7, tick.label);
  }
  const auto ticks = chart.log2_x ? log2_ticks(x.low, x.high, 8) : linear_ticks(x.low, x.high, 5);
  for (const Tick& tick : ticks) {
    out += fmt::format(
        "<line class=\"tick\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>",
        x(tick.value), kBottom, kBottom + 4, kBottom + 18, tick.label);
  }
  out += fmt::format(
      "<line class=\"base\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>"
      "<text class=\"label\" x=\"{1}\" y=\"{3}\" text-anchor=\"end\">{4}</text>"
      "<text class=\"label\" x=\"4\" y=\"14\">{5}</text></g>\n",
      kLeft, kRight, kBottom, kHeight - 8, html::escape(chart.x_label), html::escape(chart.y_label));
  if (chart.zero_line) {
    out += fmt::format("<line class=\"zero\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>\n", kLeft, kRight,
                       y(0));
  }
  return out;
}

/// Path of a line with gaps where y is NaN; a lone point between gaps becomes a dot.
std::string line_path(const Curve& curve, const Scale& x, const Scale& y) {
  std::string path;
  bool open = false;
  for (size_t i = 0; i < curve.x.size(); ++i) {
    if (!std::isfinite(curve.y[i])) {
      open = false;
      continue;
    }
    const bool alone = !open && (i + 1 == curve.x.size() || !std::isfinite(curve.y[i + 1]));
    path += fmt::format("{}{:.1f} {:.1f}", open ? "L" : "M", x(curve.x[i]), y(curve.y[i]));
    if (alone) path += "h.1";
    open = true;
  }
  return path;
}

std::string band_path(const Curve& curve, const Scale& x, const Scale& y) {
  std::string upper;
  std::string lower;
  for (size_t i = 0; i < curve.spread.size(); ++i) {
    if (!curve.spread[i]) continue;
    upper += fmt::format("{}{:.1f} {:.1f}", upper.empty() ? "M" : "L", x(curve.x[i]), y(curve.spread[i]->high));
    lower = fmt::format("L{:.1f} {:.1f}", x(curve.x[i]), y(curve.spread[i]->low)) + lower;
  }
  return upper.empty() ? "" : upper + lower + "Z";
}

/// Interval bars; an end that leaves the frame has no cap but an arrow head.
std::string interval_bars(const ChartSeries& series, const Scale& x, const Scale& y, double shift) {
  std::string path;
  for (size_t i = 0; i < series.curve.spread.size(); ++i) {
    if (!series.curve.spread[i] || !std::isfinite(series.curve.y[i])) continue;
    const double at = x(series.curve.x[i]) + shift;
    const double high = y(series.curve.spread[i]->high);
    const double low = y(series.curve.spread[i]->low);
    const double top = std::max(high, kTop);
    const double bottom = std::min(low, kBottom);
    path += fmt::format("M{:.1f} {:.1f}V{:.1f}", at, top, bottom);
    path += high < kTop ? fmt::format("M{:.1f} {:.1f}l3-4 3 4", at - 3, top + 4)
                        : fmt::format("M{:.1f} {:.1f}h6", at - 3, top);
    path += low > kBottom ? fmt::format("M{:.1f} {:.1f}l3 4 3-4", at - 3, bottom - 4)
                          : fmt::format("M{:.1f} {:.1f}h6", at - 3, bottom);
  }
  return fmt::format("<path class=\"bar\" d=\"{}\"/>", path);
}

std::string draw_series(const LineChart& chart, const ChartSeries& series, const Scale& x, const Scale& y) {
  // Bars of several variants stand side by side around their position.
  const double shift = chart.bars ? 5.0 * (series.variant % 5 - 2) : 0;
  std::string out = fmt::format("<g class=\"{}{}\">", colour_class(series.variant), series.faint ? " faint" : "");
  if (chart.bars) {
    out += interval_bars(series, x, y, shift);
  } else if (const std::string band = band_path(series.curve, x, y); !band.empty()) {
    out += fmt::format("<path class=\"band\" d=\"{}\"/>", band);
  }
  Scale shifted = x;
  shifted.first += shift;
  shifted.last += shift;
  out += fmt::format("<path class=\"line\" d=\"{}\"/>", line_path(series.curve, shifted, y));
  if (chart.markers) {
    for (size_t i = 0; i < series.curve.x.size(); ++i) {
      if (!std::isfinite(series.curve.y[i])) continue;
      out += marker(series.variant, shifted(series.curve.x[i]), y(series.curve.y[i]), 3.2);
    }
  }
  return out + "</g>\n";
}

/// What the script needs: for each x the drawing unit, its words, and each line's value in words
/// and height.
std::string hover_data(const LineChart& chart, const Scale& x, const Scale& y) {
  std::map<double, std::vector<std::pair<size_t, size_t>>> points;  // x -> (series, index)
  for (size_t s = 0; s < chart.series.size(); ++s) {
    if (chart.series[s].faint) continue;
    const Curve& curve = chart.series[s].curve;
    for (size_t i = 0; i < curve.x.size(); ++i) points[curve.x[i]].emplace_back(s, i);
  }
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [value, members] : points) {
    nlohmann::json rows = nlohmann::json::array();
    for (const auto& [s, i] : members) {
      const ChartSeries& series = chart.series[s];
      const double loss = series.curve.y[i];
      std::string text = chart.zero_line ? signed_text(loss, chart.decimals) : number_text(loss, chart.decimals);
      if (!series.curve.spread.empty() && series.curve.spread[i] && chart.zero_line) {
        text += fmt::format(" [{}]", interval_text(*series.curve.spread[i], chart.decimals));
      }
      const double height = std::isfinite(loss) ? std::round(10 * y(loss)) / 10 : -1;
      rows.push_back({series.name, text, colour_class(series.variant), height});
    }
    list.push_back(
        {std::round(10 * x(value)) / 10, chart.x_text ? chart.x_text(value) : fmt::format("{:g}", value), rows});
  }
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string line_chart(const LineChart& chart) {
  const Range ys = y_range(chart);
  if (ys.empty()) return "";
  const Range xs = x_range(chart);
  const double inset = chart.markers ? 14 : 0;
  const Scale x{xs.low, xs.high, kLeft + inset, kRight - inset, chart.log2_x};
  const Scale y{ys.low, ys.high, kBottom, kTop, false};

  std::string out = open_svg(chart.id, kWidth, kHeight, chart.title, chart.description);
  out += fmt::format(
      "<clipPath id=\"{0}-clip\"><rect x=\"{1}\" y=\"{2}\" width=\"{3}\" "
      "height=\"{4}\"/></clipPath>",
      chart.id, kLeft, kTop - 1, kRight - kLeft, kBottom - kTop + 2);
  out += axes(chart, x, y);
  out += fmt::format("<g clip-path=\"url(#{}-clip)\">\n", chart.id);
  for (const bool faint : {true, false}) {
    for (const ChartSeries& series : chart.series) {
      if (series.faint == faint) out += draw_series(chart, series, x, y);
    }
  }
  out += "</g>\n<g class=\"cursor\"></g>";
  // The empty title keeps the browser from showing the chart's own title over our tooltip.
  out += fmt::format(
      "<rect class=\"hover\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" data-top=\"{}\" "
      "data-bottom=\"{}\" data-points=\"{}\"><title></title></rect></svg>\n",
      kLeft, kTop, kRight - kLeft, kBottom - kTop, kTop, kBottom, html::escape(hover_data(chart, x, y)));
  return out;
}

}  // namespace skipattn::experiments::svg
