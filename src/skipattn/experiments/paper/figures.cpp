#include "skipattn/experiments/paper/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "skipattn/core/text.h"
#include "skipattn/experiments/paper/chart.h"
#include "skipattn/experiments/paper/difference_maps.h"
#include "skipattn/experiments/report/series.h"
#include "skipattn/experiments/sweep/names.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

std::optional<double> number_of(const SweepCell& cell, const std::string& key) {
  const auto* value = find_setting(cell.settings, key);
  return value && value->is_number() ? std::optional(value->get<double>()) : std::nullopt;
}

/// A cell's name without one key: the line it belongs to.
std::string line_name(const SweepResults& results, const SweepCell& cell, const std::string& key) {
  std::vector<Setting> rest;
  for (const Setting& setting : cell.settings)
    if (setting.first != key) rest.push_back(setting);
  SweepSettings settings;
  settings.base = results.sweep.experiment.base;
  settings.axes = results.sweep.axes;
  if (find_setting(rest, kVariantKey) == nullptr) return name_cell(rest, settings).name;
  std::vector<std::string> parts;
  for (const auto& [name, value] : rest)
    parts.push_back(name == kVariantKey ? setting_text(value)
                                        : fmt::format("{}={}", name.substr(name.rfind('.') + 1), setting_text(value)));
  return join(parts, ", ");
}

/// Points by line and x.
using Points = std::map<std::string, std::map<double, std::pair<double, std::optional<Interval>>>>;

void add_points(PaperChart& chart, const Points& points, bool is_axis_key) {
  std::vector<double> ticks;
  for (const auto& [name, values] : points) {
    PaperSeries series{name, {}, {}, {}};
    for (const auto& [x, point] : values) {
      series.x.push_back(x);
      series.y.push_back(point.first);
      series.spread.push_back(point.second);
      ticks.push_back(x);
    }
    chart.series.push_back(std::move(series));
  }
  if (!is_axis_key) return;
  std::ranges::sort(ticks);
  ticks.erase(std::ranges::unique(ticks).begin(), ticks.end());
  chart.x_ticks = ticks;
  chart.log_x = !ticks.empty() && ticks.front() > 0 && ticks.back() >= 4 * ticks.front();
}

PaperChart loss_by_key(const SweepResults& results, const SweepAxis& axis) {
  const std::string& key = axis.key;
  Points points;
  for (size_t i = 0; i < results.cells.size(); ++i) {
    const auto x = number_of(results.sweep.cells[i], key);
    const Summary& loss = results.cells[i].loss;
    if (!x || !loss.mean) continue;
    std::optional<Interval> spread;
    if (loss.sd) spread = Interval{*loss.mean - *loss.sd, *loss.mean + *loss.sd};
    points[line_name(results, results.sweep.cells[i], key)][*x] = {*loss.mean, spread};
  }
  PaperChart chart{.title = "Validation loss by " + key, .x_label = axis_label(axis), .y_label = "nats per token"};
  add_points(chart, points, true);
  return chart;
}

PaperChart difference_by_key(const SweepResults& results, const SweepAxis& axis) {
  const std::string& key = axis.key;
  Points points;
  for (const SweepComparison& comparison : results.comparisons) {
    const auto& cell = results.choices[comparison.group].cell;
    if (comparison.budget || !cell || !comparison.paired.delta) continue;
    if (const auto x = number_of(results.sweep.cells[*cell], key))
      points[line_name(results, results.sweep.cells[*cell], key)][*x] = {*comparison.paired.delta,
                                                                         comparison.paired.ci95};
  }
  PaperChart chart{.title = "Difference to the reference by " + key,
                   .x_label = axis_label(axis),
                   .y_label = "nats per token, below 0 is better",
                   .zero_line = true};
  add_points(chart, points, true);
  return chart;
}

PaperChart validation_curves(const SweepResults& results) {
  PaperChart chart{.title = "Validation loss, mean over seeds", .x_label = "tokens", .y_label = "nats per token"};
  for (size_t g = 0; g < results.sweep.groups.size(); ++g) {
    if (!results.choices[g].cell) continue;
    const ReportVariant& variant = results.chosen(g);
    std::map<double, double> tokens;
    for (const SeedRun& run : variant.runs)
      for (const CurvePoint& point : run.validation) tokens[static_cast<double>(point.step)] = point.tokens;
    const Curve mean_curve = variant_curves(variant, variant, CurveKind::kValidation, 0).mean;
    PaperSeries series{variant.name, {}, {}, {}};
    for (size_t i = 0; i < mean_curve.x.size(); ++i) {
      series.x.push_back(tokens.at(mean_curve.x[i]));
      series.y.push_back(mean_curve.y[i]);
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  }
  return chart;
}

PaperChart difference_by_position(const SweepResults& results) {
  PaperChart chart{.title = "Difference to the reference by position",
                   .x_label = "position in the window (tokens, log scale)",
                   .y_label = "nats per token, below 0 is better",
                   .log_x = true,
                   .zero_line = true};
  for (const SweepComparison& comparison : results.comparisons) {
    if (comparison.budget || !comparison.paired.delta) continue;
    const ReportVariant& variant = results.chosen(comparison.group);
    PaperSeries series{variant.name, {}, {}, {}};
    for (const PositionComparison& at :
         by_position(variant, results.chosen(comparison.against), PositionKind::kWindow)) {
      if (!at.comparison.delta) continue;
      // A range's place on a log axis: the geometric middle of its first and last position, from 1.
      series.x.push_back(std::sqrt(static_cast<double>(at.from + 1) * static_cast<double>(at.to)));
      series.y.push_back(*at.comparison.delta);
      series.spread.push_back(at.comparison.ci95);
    }
    if (!series.x.empty()) chart.series.push_back(std::move(series));
  }
  return chart;
}

PaperFigure forest(const SweepResults& results) {
  std::vector<ForestRow> rows;
  std::string csv = "name,against,equal,seed,difference,ci95_low,ci95_high\r\n";
  for (const SweepComparison& comparison : results.comparisons) {
    const PairedComparison& c = comparison.paired;
    const std::string& name = results.sweep.groups[comparison.group].name;
    const std::string& against = results.sweep.groups[comparison.against].name;
    const std::string equal = comparison.budget ? budget_name(*comparison.budget) : "";
    rows.push_back({name, "against " + against, c});
    const std::string head = fmt::format("{},{},{}", csv_cell(name), csv_cell(against), equal);
    if (c.delta)
      csv += fmt::format("{},mean,{},{}\r\n", head, *c.delta,
                         c.ci95 ? fmt::format("{},{}", c.ci95->low, c.ci95->high) : std::string(","));
    for (size_t i = 0; i < c.differences.size(); ++i)
      csv += fmt::format("{},{},{},,\r\n", head, c.seeds[i], c.differences[i]);
  }
  return {"differences", draw_forest("Paired differences with 95 % intervals", rows), csv};
}

}  // namespace

std::vector<PaperFigure> paper_figures(const SweepResults& results) {
  std::vector<PaperFigure> figures;
  const auto add = [&](const std::string& name, const PaperChart& chart) {
    if (!chart.series.empty()) figures.push_back({name, draw_chart(chart), chart_csv(chart)});
  };
  const auto measured = [](const SweepComparison& comparison) { return comparison.paired.delta.has_value(); };
  if (std::ranges::any_of(results.comparisons, measured)) figures.push_back(forest(results));
  for (const SweepAxis& axis : results.sweep.axes) {
    const auto is_number = [](const auto& value) { return value.is_number(); };
    if (axis.values.size() < 2 || !std::ranges::all_of(axis.values, is_number)) continue;
    add("loss_by_" + axis.key, loss_by_key(results, axis));
    if (std::ranges::find(results.sweep.best, axis.key) == results.sweep.best.end())
      add("difference_by_" + axis.key, difference_by_key(results, axis));
  }
  for (PaperFigure& map : difference_maps(results)) figures.push_back(std::move(map));
  add("validation_loss", validation_curves(results));
  add("difference_by_position", difference_by_position(results));
  return figures;
}

}  // namespace skipattn::experiments
