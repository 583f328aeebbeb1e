// The learning rate of every step.
#pragma once

#include <cstdint>
#include <string>

namespace skipattn::training {

struct Schedule {
  std::string kind = "cosine";  ///< "cosine" to the minimum, "constant", or "wsd" (warm up, stay, decay linearly)
  double peak = 6e-4;
  double minimum = 6e-5;     ///< reached at the last step ("constant": unused)
  int64_t warmup_steps = 0;  ///< steps of linear warm-up; step s (from 1) has peak * s / (warmup_steps + 1)
  int64_t total_steps = 1;
  double decay_fraction = 0.2;  ///< "wsd": share of all steps that decay

  /// Learning rate of step `step`, counted from 1.
  double at(int64_t step) const;
};

}  // namespace skipattn::training
