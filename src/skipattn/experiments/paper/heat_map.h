// A heat map of differences for papers: one square a cell, coloured by how much better or worse it is than its reference.
//
//   HeatMap map{.title = "Difference to the baseline", .x_label = "distance (layers)", .y_label = "skip heads per layer"};
//   map.columns = {"2", "4"};
//   map.rows = {"1"};
//   map.cells = {{.value = -0.012, .half_width = 0.005, .verdict = Verdict::kBetter}, {.absent = "not measured"}};
//   to_svg(draw_heat_map(map));
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "skipattn/experiments/paper/drawing.h"
#include "skipattn/experiments/statistics.h"

namespace skipattn::experiments {

struct HeatCell {
  std::optional<double> value = {};       ///< difference, below 0 is better
  std::optional<double> half_width = {};  ///< of its 95 % interval
  Verdict verdict = Verdict::kCannotTell;
  std::string absent = {};  ///< what is written where there is no value
};

struct HeatMap {
  std::string title;
  std::string subtitle = {};  ///< what holds for all cells
  std::string x_label, y_label;
  std::string unit = "nats per token";  ///< of the values, beside the colour scale
  std::vector<std::string> columns = {}, rows = {};
  std::vector<HeatCell> cells = {};     ///< rows.size() x columns.size(), row by row; the first row is the uppermost
  std::vector<std::string> notes = {};  ///< lines below the map
};

/// 340 points wide. Colours run from blue (better) over white, which is exactly 0, to orange (worse), as far to either side as
/// the largest difference goes. Better and worse cells are framed and say so; numbers are written where they fit.
Drawing draw_heat_map(const HeatMap& map);

/// The colour of a value, "#rrggbb", when `largest` (> 0) has the full one.
std::string heat_colour(double value, double largest);

}  // namespace skipattn::experiments
