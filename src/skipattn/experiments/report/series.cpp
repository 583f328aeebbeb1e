#include "skipattn/experiments/report/series.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace skipattn::experiments {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const std::vector<CurvePoint>& points_of(const SeedRun& run, CurveKind kind) {
  return kind == CurveKind::kTraining ? run.training : run.validation;
}

const std::vector<PositionLoss>& positions_of(const SeedRun& run, PositionKind kind) {
  return kind == PositionKind::kWindow ? run.by_window_position : run.by_document_position;
}

Curve smoothed_curve(const std::vector<CurvePoint>& points, int radius) {
  Curve curve;
  for (const CurvePoint& point : points) {
    curve.x.push_back(static_cast<double>(point.step));
    curve.y.push_back(std::isfinite(point.loss) ? point.loss : kNan);
  }
  curve.y = smooth(curve.y, radius);
  return curve;
}

/// Variant minus baseline of one seed at the steps both have, not smoothed.
std::vector<CurvePoint> difference_of(const SeedRun& variant, const SeedRun& baseline, CurveKind kind) {
  std::map<int64_t, double> theirs;
  for (const CurvePoint& point : points_of(baseline, kind)) theirs[point.step] = point.loss;
  std::vector<CurvePoint> difference;
  for (CurvePoint point : points_of(variant, kind)) {
    const auto at = theirs.find(point.step);
    if (at == theirs.end()) continue;
    point.loss -= at->second;
    difference.push_back(point);
  }
  return difference;
}

/// Mean over curves at the x that all of them have, so that the line never jumps because one ends.
Curve mean_of(const std::vector<Curve>& curves) {
  std::map<double, std::vector<double>> values;
  for (const Curve& curve : curves) {
    for (size_t i = 0; i < curve.x.size(); ++i) values[curve.x[i]].push_back(curve.y[i]);
  }
  Curve result;
  for (const auto& [x, at_x] : values) {
    if (at_x.size() != curves.size()) continue;
    const double center = mean(at_x);  // NaN when one of them is
    result.x.push_back(x);
    result.y.push_back(center);
    if (at_x.size() < 2 || !std::isfinite(center)) {
      result.spread.emplace_back();
    } else {
      const auto [low, high] = std::minmax_element(at_x.begin(), at_x.end());
      result.spread.emplace_back(Interval{*low, *high});
    }
  }
  return result;
}

using PositionRange = std::pair<int64_t, int64_t>;

std::map<PositionRange, SeedValues> losses_by_position(const ReportVariant& variant, PositionKind kind) {
  std::map<PositionRange, SeedValues> losses;
  for (const SeedRun& run : variant.runs) {
    if (!run.problem.empty()) continue;
    for (const PositionLoss& bucket : positions_of(run, kind)) {
      losses[{bucket.from, bucket.to}][run.seed] = bucket.loss;
    }
  }
  return losses;
}

}  // namespace

std::vector<double> smooth(const std::vector<double>& values, int radius) {
  std::vector<double> result(values.size(), kNan);
  const auto size = static_cast<int>(values.size());
  for (int i = 0; i < size; ++i) {
    if (!std::isfinite(values[i])) continue;
    // The same reach on both sides, so that a slope does not bend the ends.
    const int reach = std::min({radius, i, size - 1 - i});
    double sum = 0;
    int count = 0;
    for (int j = i - reach; j <= i + reach; ++j) {
      if (!std::isfinite(values[j])) continue;
      sum += values[j];
      ++count;
    }
    result[i] = sum / count;
  }
  return result;
}

Curve thin(const Curve& curve, int count) {
  const size_t size = curve.x.size();
  if (size <= static_cast<size_t>(count) || count < 2) return curve;
  Curve result;
  for (int i = 0; i < count; ++i) {
    const size_t at = (size - 1) * static_cast<size_t>(i) / static_cast<size_t>(count - 1);
    result.x.push_back(curve.x[at]);
    result.y.push_back(curve.y[at]);
    if (!curve.spread.empty()) result.spread.push_back(curve.spread[at]);
  }
  return result;
}

int smoothing_radius(size_t points) {
  return static_cast<int>(points / 100 + (points >= 50));
}

VariantCurves variant_curves(const ReportVariant& variant, const ReportVariant& baseline, CurveKind kind, int radius) {
  VariantCurves result;
  std::vector<Curve> complete;
  std::vector<Curve> differences;
  for (const SeedRun& run : variant.runs) {
    const Curve curve = smoothed_curve(points_of(run, kind), radius);
    if (curve.empty()) continue;
    result.runs.push_back(curve);
    if (!run.problem.empty()) continue;
    complete.push_back(curve);
    const auto partner = std::find_if(baseline.runs.begin(), baseline.runs.end(),
                                      [&](const SeedRun& b) { return b.seed == run.seed && b.problem.empty(); });
    if (variant.is_baseline || partner == baseline.runs.end()) continue;
    const Curve difference = smoothed_curve(difference_of(run, *partner, kind), radius);
    if (!difference.empty()) differences.push_back(difference);
  }
  result.mean = mean_of(complete);
  result.difference = mean_of(differences);
  return result;
}

std::vector<PositionComparison> by_position(const ReportVariant& variant, const ReportVariant& baseline,
                                            PositionKind kind) {
  const auto ours = losses_by_position(variant, kind);
  const auto theirs = losses_by_position(baseline, kind);
  std::vector<PositionComparison> result;
  for (const auto& [range, losses] : ours) {
    PositionComparison at;
    at.from = range.first;
    at.to = range.second;
    at.loss = summarise(losses);
    const auto partner = theirs.find(range);
    if (!variant.is_baseline && partner != theirs.end()) {
      at.comparison = compare_paired(losses, partner->second);
    }
    result.push_back(at);
  }
  return result;
}

}  // namespace skipattn::experiments
