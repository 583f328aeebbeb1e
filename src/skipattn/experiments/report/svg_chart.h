// Line charts of the report as inline SVG: curves, bands or interval bars, a log2 x axis, a zero
// line, and the numbers that the page's script shows under the pointer.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "skipattn/experiments/report/series.h"

namespace skipattn::experiments::svg {

/// One line of a chart.
struct ChartSeries {
  std::string name;    ///< variant
  int variant = 0;     ///< its colour and mark; 0 is the baseline
  Curve curve;         ///< y NaN: a gap
  bool faint = false;  ///< a single seed: thin, without hover text
};

struct LineChart {
  std::string id;  ///< unique in the page
  std::string title;
  std::string description;  ///< one sentence: what to see in it
  std::string x_label;
  std::string y_label;  ///< with its unit
  std::vector<ChartSeries> series = {};
  bool log2_x = false;                             ///< x must be > 0
  bool zero_line = false;                          ///< for differences: 0 is in the frame and drawn
  bool markers = false;                            ///< a mark at every point
  bool bars = false;                               ///< the spread as interval bars instead of a band
  std::optional<double> y_top = {};                ///< values above leave the frame at its top
  std::function<std::string(double)> x_text = {};  ///< x as the tooltip says it; empty: as a number
  int decimals = 4;                                ///< of values in the tooltip; signs are shown with zero_line
};

/// The chart; "" when no series has a finite value.
std::string line_chart(const LineChart& chart);

}  // namespace skipattn::experiments::svg
