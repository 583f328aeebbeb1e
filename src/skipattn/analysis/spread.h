// Smallest, middle and largest of a few measurements.
#pragma once

#include <span>

namespace skipattn::analysis {

struct Spread {
  double min = 0;
  double median = 0;  ///< mean of the middle two when their number is even
  double max = 0;
};

/// All NaN for no values.
Spread spread_of(std::span<const double> values);

}  // namespace skipattn::analysis
