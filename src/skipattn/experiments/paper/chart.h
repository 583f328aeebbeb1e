// Charts for papers: lines with interval bars and a legend below, and the forest plot of differences.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "skipattn/experiments/paper/drawing.h"
#include "skipattn/experiments/statistics.h"

namespace skipattn::experiments {

struct PaperSeries {
  std::string name;
  std::vector<double> x;  ///< ascending
  std::vector<double> y;
  std::vector<std::optional<Interval>> spread = {};  ///< empty, or one for each point
};

struct PaperChart {
  std::string title;
  std::string x_label;
  std::string y_label;  ///< with its unit
  std::vector<PaperSeries> series = {};
  bool log_x = false;                ///< x must be > 0
  bool zero_line = false;            ///< 0 is in the frame and drawn
  std::vector<double> x_ticks = {};  ///< where the x axis has numbers; empty: round ones
};

/// The chart, 340 points wide. Colours and marks are those of report.html, in the order of the series.
Drawing draw_chart(const PaperChart& chart);
/// "series,x,y,low,high", a line a point.
std::string chart_csv(const PaperChart& chart);

/// A row of the forest plot.
struct ForestRow {
  std::string name;
  std::string detail;  ///< what it is compared with
  PairedComparison paired;
};
/// Mean differences with their 95 % intervals and the seeds' own.
Drawing draw_forest(const std::string& title, const std::vector<ForestRow>& rows);

}  // namespace skipattn::experiments
