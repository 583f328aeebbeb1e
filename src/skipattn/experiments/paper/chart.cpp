#include "skipattn/experiments/paper/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/experiments/paper/colours.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/text.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

constexpr double kWidth = 340, kLeft = 52, kRight = 332, kTop = 22, kPlotHeight = 160;
constexpr double kLegendLine = 12;
const std::string kGrid = "#e6e6e2";

std::string colour_of(size_t series) {
  return kPaperSeries[series % kPaperSeries.size()];
}

/// Series beyond the colours are dashed, and differ by their marks too.
std::vector<double> dash_of(size_t series) {
  return series < kPaperSeries.size() ? std::vector<double>{} : std::vector<double>{4, 2};
}

/// A series' colour and mark; grey, the first, is the reference's, which charts of differences do not show.
size_t look_of(const PaperChart& chart, size_t number) {
  return number + (chart.zero_line ? 1 : 0);
}

void draw_mark(Drawing& drawing, size_t series, Point at, double radius) {
  const PathStyle style{.fill = colour_of(series)};
  const auto corners = [&](std::vector<Point> points) {
    for (Point& p : points) p = {at.x + radius * p.x, at.y + radius * p.y};
    drawing.polygon(points, style);
  };
  switch (series % 5) {
    case 1:
      return corners({{-.9, -.9}, {.9, -.9}, {.9, .9}, {-.9, .9}});
    case 2:
      return corners({{0, -1.2}, {1.1, .8}, {-1.1, .8}});
    case 3:
      return corners({{0, -1.3}, {1.3, 0}, {0, 1.3}, {-1.3, 0}});
    case 4:
      return corners({{0, 1.2}, {1.1, -.8}, {-1.1, -.8}});
    default:
      return drawing.circle(at, radius, style);
  }
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  Range padded(double share) const {
    const double pad = high > low ? share * (high - low) : std::max(1e-3, std::abs(high) * 0.01);
    return {low - pad, high + pad};
  }
};

/// Values count in full, spreads up to 1.5 times the values' own range: with two seeds they dwarf everything.
Range y_range(const PaperChart& chart) {
  Range values;
  for (const PaperSeries& series : chart.series)
    for (const double y : series.y) values.take(y);
  if (chart.zero_line) values.take(0);
  const double reach = 1.5 * std::max(values.high - values.low, 1e-6);
  Range all = values;
  for (const PaperSeries& series : chart.series)
    for (const auto& spread : series.spread)
      if (spread) {
        all.take(std::max(spread->low, values.low - reach));
        all.take(std::min(spread->high, values.high + reach));
      }
  return all.padded(0.06);
}

svg::Scale x_scale(const PaperChart& chart) {
  Range range;
  for (const PaperSeries& series : chart.series)
    for (const double x : series.x) range.take(x);
  if (range.high <= range.low) range = chart.log_x ? Range{range.low / 2, range.high * 2} : range.padded(0);
  return {range.low, range.high, kLeft + 10, kRight - 10, chart.log_x};
}

std::vector<svg::Tick> x_ticks(const PaperChart& chart, const svg::Scale& x) {
  std::vector<svg::Tick> ticks;
  for (const double value : chart.x_ticks)
    ticks.push_back({value, std::abs(value) >= 10000 ? short_count(value) : fmt::format("{:g}", value)});
  if (!ticks.empty()) return ticks;
  return chart.log_x ? svg::log2_ticks(x.low, x.high, 8) : svg::linear_ticks(x.low, x.high, 5);
}

void draw_axes(Drawing& drawing, const PaperChart& chart, const svg::Scale& x, const svg::Scale& y) {
  const double bottom = kTop + kPlotHeight;
  for (const svg::Tick& tick : svg::linear_ticks(y.low, y.high, 5)) {
    drawing.line({{kLeft, y(tick.value)}, {kRight, y(tick.value)}}, {.stroke = kGrid, .width = 0.6});
    drawing.text({kLeft - 4, y(tick.value) + 2.8}, tick.label, {.anchor = Anchor::kEnd, .colour = kPaperAxis});
  }
  for (const svg::Tick& tick : x_ticks(chart, x)) {
    drawing.line({{x(tick.value), bottom}, {x(tick.value), bottom + 3}}, {.stroke = kPaperAxis, .width = 0.6});
    drawing.text({x(tick.value), bottom + 12}, tick.label, {.anchor = Anchor::kMiddle, .colour = kPaperAxis});
  }
  drawing.line({{kLeft, bottom}, {kRight, bottom}}, {.stroke = kPaperAxis, .width = 0.8});
  if (chart.zero_line)
    drawing.line({{kLeft, y(0)}, {kRight, y(0)}}, {.stroke = kPaperAxis, .width = 0.8, .dash = {2, 2}});
  drawing.text({(kLeft + kRight) / 2, bottom + 24}, chart.x_label, {.anchor = Anchor::kMiddle});
  drawing.text({10, kTop + kPlotHeight / 2}, chart.y_label, {.anchor = Anchor::kMiddle, .upward = true});
}

void draw_series(Drawing& drawing, const PaperChart& chart, size_t number, const svg::Scale& x, const svg::Scale& y) {
  const PaperSeries& series = chart.series[number];
  const size_t look = look_of(chart, number);
  const Box frame{kLeft, kTop, kRight, kTop + kPlotHeight};
  // Bars of several series stand side by side around their place.
  const double shift = series.spread.empty() ? 0 : 2.2 * (static_cast<double>(number % 5) - 2);
  std::vector<Point> points;
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!std::isfinite(series.y[i])) continue;
    const double at = x(series.x[i]) + shift;
    points.push_back({at, y(series.y[i])});
    if (series.spread.empty() || !series.spread[i]) continue;
    drawing.line({{at, y(series.spread[i]->low)}, {at, y(series.spread[i]->high)}},
                 {.stroke = lighter(colour_of(look), 0.35), .width = 0.8, .clip = frame});
  }
  drawing.line(points, {.stroke = colour_of(look), .width = 1.2, .dash = dash_of(look), .clip = frame});
  constexpr size_t kMostMarks = 30;
  if (points.size() <= kMostMarks)
    for (const Point& point : points) draw_mark(drawing, look, point, 2.2);
}

/// Below the axis, as many entries in a line as fit. Returns where it ends.
double draw_legend(Drawing& drawing, const PaperChart& chart, double top) {
  double x = kLeft, y = top;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const std::string name = fitted(chart.series[i].name, kRight - kLeft - 20);
    const double width = 22 + text_width(name, {}) + 10;
    if (x > kLeft && x + width > kRight) {
      x = kLeft;
      y += kLegendLine;
    }
    drawing.line({{x, y - 2.8}, {x + 16, y - 2.8}},
                 {.stroke = colour_of(look_of(chart, i)), .width = 1.2, .dash = dash_of(look_of(chart, i))});
    draw_mark(drawing, look_of(chart, i), {x + 8, y - 2.8}, 2.2);
    drawing.text({x + 20, y}, name, {});
    x += width;
  }
  return y;
}

svg::Scale forest_scale(const std::vector<ForestRow>& rows, double left) {
  Range range;
  range.take(0);
  for (const ForestRow& row : rows) {
    for (const double difference : row.paired.differences) range.take(difference);
    if (!row.paired.ci95) continue;
    range.take(row.paired.ci95->low);
    range.take(row.paired.ci95->high);
  }
  range = range.padded(0.06);
  return {range.low, range.high, left, kRight, false};
}

}  // namespace

Drawing draw_chart(const PaperChart& chart) {
  Drawing drawing{kWidth, 0, chart.title};
  const svg::Scale x = x_scale(chart);
  const Range ys = y_range(chart);
  const svg::Scale y{ys.low, ys.high, kTop + kPlotHeight, kTop, false};
  drawing.text({kLeft, 12}, chart.title, {.size = 9, .bold = true});
  draw_axes(drawing, chart, x, y);
  for (size_t i = 0; i < chart.series.size(); ++i) draw_series(drawing, chart, i, x, y);
  drawing.height = draw_legend(drawing, chart, kTop + kPlotHeight + 40) + 8;
  return drawing;
}

std::string chart_csv(const PaperChart& chart) {
  std::string out = "series,x,y,low,high\r\n";
  for (const PaperSeries& series : chart.series) {
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!std::isfinite(series.y[i])) continue;
      std::string spread = ",";
      if (!series.spread.empty() && series.spread[i])
        spread = fmt::format("{},{}", series.spread[i]->low, series.spread[i]->high);
      out += fmt::format("{},{},{},{}\r\n", csv_cell(series.name), series.x[i], series.y[i], spread);
    }
  }
  return out;
}

Drawing draw_forest(const std::string& title, const std::vector<ForestRow>& rows) {
  constexpr double kRow = 24, kNames = 150;
  const double bottom = kTop + kRow * static_cast<double>(rows.size()) + 4;
  Drawing drawing{kWidth, bottom + 34, title};
  const svg::Scale x = forest_scale(rows, kNames);
  drawing.text({6, 12}, title, {.size = 9, .bold = true});
  for (const svg::Tick& tick : svg::linear_ticks(x.low, x.high, 4)) {
    drawing.line({{x(tick.value), kTop}, {x(tick.value), bottom}}, {.stroke = kGrid, .width = 0.6});
    drawing.text({x(tick.value), bottom + 11}, tick.label, {.anchor = Anchor::kMiddle, .colour = kPaperAxis});
  }
  drawing.line({{x(0), kTop}, {x(0), bottom}}, {.stroke = kPaperAxis, .width = 0.8, .dash = {2, 2}});
  drawing.text({(kNames + kRight) / 2, bottom + 24}, "difference in loss, nats per token (below 0 is better)",
               {.anchor = Anchor::kMiddle});
  double y = kTop + kRow / 2;
  for (const ForestRow& row : rows) {
    drawing.text({6, y - 1}, fitted(row.name, kNames - 12), {});
    drawing.text({6, y + 8}, fitted(row.detail, kNames - 12, {.size = 7}), {.size = 7, .colour = kPaperAxis});
    if (row.paired.ci95)
      drawing.line({{x(row.paired.ci95->low), y}, {x(row.paired.ci95->high), y}},
                   {.stroke = colour_of(1), .width = 1.2});
    for (const double difference : row.paired.differences)
      drawing.circle({x(difference), y}, 1.6, {.stroke = kPaperAxis, .width = 0.6});
    if (row.paired.delta) draw_mark(drawing, 1, {x(*row.paired.delta), y}, 2.6);
    if (!row.paired.delta) drawing.text({kNames + 4, y + 3}, "not measured", {.colour = kPaperAxis});
    y += kRow;
  }
  return drawing;
}

}  // namespace skipattn::experiments
