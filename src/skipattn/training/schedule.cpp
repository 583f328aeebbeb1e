#include "skipattn/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace skipattn::training {

double Schedule::at(int64_t step) const {
  if (step <= warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(warmup_steps + 1);
  if (kind == "constant") return peak;
  // Where the decay begins and how far this step is into it, 0..1.
  const double begin =
      kind == "wsd" ? static_cast<double>(total_steps) * (1.0 - decay_fraction) : static_cast<double>(warmup_steps);
  const double length = std::max(1.0, static_cast<double>(total_steps) - begin);
  const double progress = std::clamp((static_cast<double>(step) - begin) / length, 0.0, 1.0);
  const double share = kind == "wsd" ? 1.0 - progress : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return minimum + share * (peak - minimum);
}

}  // namespace skipattn::training
