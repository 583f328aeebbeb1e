// The sections of report.html that hold line charts: over training, and over positions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/sections.h"
#include "skipattn/experiments/report/series.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/svg_chart.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments::sections {

namespace {

using html::escape;

constexpr int kDrawnPoints = 240;
constexpr int kTableRows = 60;

std::string legend(const ReportData& data) {
  const std::vector<int> colours = colour_order(data);
  std::string out = "<ul class=\"legend\">";
  for (size_t i = 0; i < data.variants.size(); ++i) {
    out += fmt::format(
        "<li class=\"{}\"><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"line\" "
        "d=\"M1 6H25\"/>{}</svg>{}</li>",
        svg::colour_class(colours[i]), svg::marker(colours[i], 13, 6, 3.6), escape(data.variants[i].name));
  }
  return out + "</ul>\n";
}

/// The words for a step in tooltips and tables: "step 1,200 · 19.7M tokens".
std::function<std::string(double)> step_words(const ReportData& data) {
  std::map<double, double> tokens;
  for (const ReportVariant& variant : data.variants) {
    for (const SeedRun& run : variant.runs) {
      for (const auto* points : {&run.training, &run.validation}) {
        for (const CurvePoint& p : *points) tokens[static_cast<double>(p.step)] = p.tokens;
      }
    }
  }
  return [tokens](double step) {
    const auto at = tokens.find(step);
    const std::string seen = at == tokens.end() ? "" : fmt::format(" · {} tokens", short_count(at->second));
    return fmt::format("step {}{}", grouped(step), seen);
  };
}

/// The emphasised lines of a chart as a table, at most kTableRows rows.
std::string chart_table(const svg::LineChart& chart, const std::string& x_name) {
  std::vector<std::string> header = {escape(x_name)};
  std::vector<const Curve*> curves;
  std::map<double, std::vector<std::string>> rows;
  for (const svg::ChartSeries& series : chart.series) {
    if (series.faint) continue;
    header.push_back(escape(series.name));
    curves.push_back(&series.curve);
  }
  for (size_t column = 0; column < curves.size(); ++column) {
    const Curve& curve = *curves[column];
    for (size_t i = 0; i < curve.x.size(); ++i) {
      auto& row = rows[curve.x[i]];
      row.resize(curves.size(), "–");
      row[column] = chart.zero_line ? signed_text(curve.y[i], chart.decimals) : number_text(curve.y[i], chart.decimals);
      if (chart.zero_line && !curve.spread.empty() && curve.spread[i]) {
        row[column] += fmt::format("<small>{}</small>", interval_text(*curve.spread[i], chart.decimals));
      }
    }
  }
  html::Table table(escape(chart.title), header);
  const size_t stride = (rows.size() + kTableRows - 1) / kTableRows;
  size_t number = 0;
  for (const auto& [x, cells] : rows) {
    const bool last = number + 1 == rows.size();
    if (number++ % std::max<size_t>(stride, 1) != 0 && !last) continue;
    std::vector<std::string> row = {chart.x_text ? escape(chart.x_text(x)) : fmt::format("{:g}", x)};
    row.insert(row.end(), cells.begin(), cells.end());
    table.add_row(row);
  }
  return table.text();
}

std::string chart_figure(const svg::LineChart& chart, const std::string& missing, const std::string& x_name) {
  const std::string drawing = svg::line_chart(chart);
  return html::figure({.title = chart.title,
                       .caption = chart.description,
                       .chart = drawing,
                       .missing = missing,
                       .table = drawing.empty() ? "" : chart_table(chart, x_name)});
}

/// Decimals for tooltips of a difference chart: two significant digits of a typical difference.
int decimals_of(const std::vector<svg::ChartSeries>& series) {
  std::vector<double> sizes;
  for (const auto& s : series) {
    for (const double y : s.curve.y) {
      if (std::isfinite(y)) sizes.push_back(std::abs(y));
    }
  }
  return sizes.empty() ? 4 : decimals_for(median(sizes) / 3);
}

size_t longest_curve(const ReportData& data, CurveKind kind) {
  size_t longest = 0;
  for (const ReportVariant& variant : data.variants) {
    for (const SeedRun& run : variant.runs) {
      longest = std::max(longest, (kind == CurveKind::kTraining ? run.training : run.validation).size());
    }
  }
  return longest;
}

/// Where a loss chart ends at its top: the largest loss after the first tenth, so that the fall
/// from the random start does not flatten what the variants differ in.
std::optional<double> top_after_start(const std::vector<svg::ChartSeries>& series) {
  std::optional<double> top;
  for (const auto& s : series) {
    for (size_t i = s.curve.y.size() / 10; i < s.curve.y.size(); ++i) {
      if (std::isfinite(s.curve.y[i])) top = std::max(top.value_or(s.curve.y[i]), s.curve.y[i]);
    }
  }
  return top;
}

struct CurvePair {
  svg::LineChart losses;
  svg::LineChart differences;
};

CurvePair curve_charts(const ReportData& data, CurveKind kind) {
  const bool training = kind == CurveKind::kTraining;
  const size_t points = longest_curve(data, kind);
  const int radius = training ? smoothing_radius(points) : 0;
  const std::vector<int> colours = colour_order(data);
  const std::string what = training ? "Training loss" : "Validation loss";
  const std::string smoothing = radius > 0 ? fmt::format(" Running mean over {} steps on either side.", radius) : "";
  CurvePair charts;
  charts.losses = {.id = training ? "training-loss" : "validation-loss",
                   .title = what,
                   .description = "Thick: mean over seeds. Thin: single seeds." + smoothing,
                   .x_label = "step",
                   .y_label = "nats per token",
                   .markers = points <= 30};
  charts.differences = {.id = training ? "training-difference" : "validation-difference",
                        .title = what + ", difference to the baseline",
                        .description = "Paired by seed and step; the band is the lowest and highest seed." + smoothing,
                        .x_label = "step",
                        .y_label = "nats per token, below 0 is better",
                        .zero_line = true,
                        .markers = points <= 30};
  for (size_t i = 0; i < data.variants.size(); ++i) {
    const ReportVariant& variant = data.variants[i];
    const VariantCurves curves = variant_curves(variant, baseline_of(data), kind, radius);
    for (const Curve& run : curves.runs) {
      charts.losses.series.push_back({variant.name, colours[i], thin(run, kDrawnPoints), true});
    }
    if (!curves.mean.empty()) {
      Curve mean_line = thin(curves.mean, kDrawnPoints);
      mean_line.spread.clear();  // the thin lines show it
      charts.losses.series.push_back({variant.name, colours[i], mean_line, false});
    }
    if (!curves.difference.empty()) {
      charts.differences.series.push_back({variant.name, colours[i], thin(curves.difference, kDrawnPoints), false});
    }
  }
  charts.losses.x_text = charts.differences.x_text = step_words(data);
  charts.differences.decimals = decimals_of(charts.differences.series);
  if (training) {
    charts.losses.y_top = top_after_start(charts.losses.series);
    charts.losses.description += " The first steps lie above the frame.";
  }
  return charts;
}

std::string position_words(const std::map<double, PositionComparison>& at, double x) {
  const auto found = at.find(x);
  if (found == at.end()) return fmt::format("{:g}", x);
  const int64_t first = found->second.from;
  const int64_t last = found->second.to - 1;
  return first == last
             ? fmt::format("position {}", grouped(static_cast<double>(first)))
             : fmt::format("positions {}–{}", grouped(static_cast<double>(first)), grouped(static_cast<double>(last)));
}

CurvePair position_charts(const ReportData& data, PositionKind kind) {
  const bool window = kind == PositionKind::kWindow;
  const std::vector<int> colours = colour_order(data);
  const std::string where = window ? "in the window" : "in the document";
  CurvePair charts;
  charts.losses = {.id = window ? "position-loss" : "document-loss",
                   .title = "Loss by position " + where,
                   .description = "Mean over seeds at the end of training.",
                   .x_label = "tokens before, " + where + " (log scale)",
                   .y_label = "nats per token",
                   .log2_x = true,
                   .markers = true};
  charts.differences = {.id = window ? "position-difference" : "document-difference",
                        .title = "Difference to the baseline by position " + where,
                        .description =
                            "Paired by seed, bars are 95 % intervals, an arrow means that "
                            "one goes on outside the frame.",
                        .x_label = charts.losses.x_label,
                        .y_label = "nats per token, below 0 is better",
                        .log2_x = true,
                        .zero_line = true,
                        .markers = true,
                        .bars = true};
  std::map<double, PositionComparison> ranges;
  for (size_t i = 0; i < data.variants.size(); ++i) {
    const ReportVariant& variant = data.variants[i];
    Curve losses;
    Curve differences;
    for (const PositionComparison& bucket : by_position(variant, baseline_of(data), kind)) {
      // A range's place on a log axis: the geometric middle of its first and last position, from 1.
      const double x = std::sqrt(static_cast<double>(bucket.from + 1) * static_cast<double>(bucket.to));
      ranges[x] = bucket;
      losses.x.push_back(x);
      losses.y.push_back(bucket.loss.mean.value_or(NAN));
      if (!bucket.comparison.delta) continue;
      differences.x.push_back(x);
      differences.y.push_back(*bucket.comparison.delta);
      differences.spread.push_back(bucket.comparison.ci95);
    }
    if (!losses.empty()) charts.losses.series.push_back({variant.name, colours[i], losses, false});
    if (!differences.empty()) {
      charts.differences.series.push_back({variant.name, colours[i], differences, false});
    }
  }
  charts.losses.x_text = charts.differences.x_text = [ranges](double x) { return position_words(ranges, x); };
  charts.differences.decimals = decimals_of(charts.differences.series);
  return charts;
}

}  // namespace

std::string curves(const ReportData& data) {
  std::string out = "<section><h2>Over training</h2>" + legend(data) + "<div class=\"grid2\">";
  for (const CurveKind kind : {CurveKind::kTraining, CurveKind::kValidation}) {
    const CurvePair charts = curve_charts(data, kind);
    out += chart_figure(charts.losses, "no run has a finite loss", "Step");
    out += chart_figure(charts.differences, "no seed has both a variant's and the baseline's curve", "Step");
  }
  return out + "</div></section>\n";
}

std::string positions(const ReportData& data) {
  std::string out =
      "<section><h2>By position</h2><p class=\"soft\">A variant that uses far context well should "
      "gain more the more tokens stand before.</p>" +
      legend(data) + "<div class=\"grid2\">";
  for (const PositionKind kind : {PositionKind::kWindow, PositionKind::kDocument}) {
    const CurvePair charts = position_charts(data, kind);
    const std::string missing = kind == PositionKind::kWindow
                                    ? "no run reports its loss by position"
                                    : "the data has no document boundaries, or they were not used";
    if (charts.losses.series.empty()) {
      out += html::figure({.title = charts.losses.title, .missing = missing});
      continue;
    }
    out += chart_figure(charts.losses, missing, "Positions");
    out += chart_figure(charts.differences, "no seed has both a variant's and the baseline's", "Positions");
  }
  return out + "</div></section>\n";
}

}  // namespace skipattn::experiments::sections
