#include "skipattn/analysis/spread.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace skipattn::analysis {

Spread spread_of(std::span<const double> values) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {kNaN, kNaN, kNaN};
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  const double median = sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  return {sorted.front(), median, sorted.back()};
}

}  // namespace skipattn::analysis
