// From runs to lines of a chart: smoothing, means over seeds, paired differences by step and by
// position. All of it is arithmetic on ReportData; nothing here draws.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments {

/// Points of one line. NaN in y is a gap.
struct Curve {
  std::vector<double> x;
  std::vector<double> y;
  std::vector<std::optional<Interval>> spread;  ///< empty, or one for each point

  bool empty() const { return x.empty(); }
};

/// Centred running mean over `radius` neighbours on either side (fewer at the ends, so that nothing
/// lags); gaps stay gaps and are left out of their neighbours' means.
std::vector<double> smooth(const std::vector<double>& values, int radius);
/// At most `count` points, evenly spread, first and last included.
Curve thin(const Curve& curve, int count);

/// Which curve of a run.
enum class CurveKind { kTraining, kValidation };

/// One variant's curves.
struct VariantCurves {
  std::vector<Curve> runs;  ///< smoothed, one for each run that has points
  Curve mean;               ///< over the complete runs, at the steps that all of them have
  Curve difference;         ///< paired with the baseline by seed and step, then smoothed, mean over
                            ///< seeds; spread: lowest and highest seed (absent with one seed)
};
VariantCurves variant_curves(const ReportVariant& variant, const ReportVariant& baseline, CurveKind kind, int radius);

/// Steps on either side that smooth() takes for curves of this length: 2 % of it in all, at least 1
/// once there are 50 points.
int smoothing_radius(size_t points);

/// Loss at one range of positions.
struct PositionComparison {
  int64_t from = 0;
  int64_t to = 0;
  Summary loss;
  PairedComparison comparison;  ///< against the baseline at the same positions
};
enum class PositionKind { kWindow, kDocument };
std::vector<PositionComparison> by_position(const ReportVariant& variant, const ReportVariant& baseline,
                                            PositionKind kind);

}  // namespace skipattn::experiments
