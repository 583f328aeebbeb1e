// What runs will take before they are begun: time from a short measured step (or a given speed), memory and disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/experiments/compare.h"

namespace skipattn::experiments {

/// How fast runs will go.
struct Speed {
  double tokens_per_second = 0;       ///< of training
  double flops_per_second = 0;        ///< that is; 0: every run is taken to train at tokens_per_second
  std::optional<double> peak_memory;  ///< bytes of the process that was measured
  std::string basis;                  ///< where this comes from, for people
};

/// A speed that a person gives, tokens/s of every run.
Speed given_speed(double tokens_per_second);

/// Trains a few steps of random tokens, one micro-batch each, with the settings of the costliest run left; takes seconds to
/// minutes, and its memory. InputError and RunError as training itself.
Speed measure_speed(const std::vector<PlannedRun>& runs, const ProgressSink& progress);

struct RunEstimate {
  double seconds = 0;       ///< still to go, validations included where the speed was measured
  double memory_bytes = 0;  ///< counted: weights, gradients, moments, what the backward pass reads, the loss
  double disk_bytes = 0;    ///< checkpoints kept, metrics
};
/// One run; nothing is left of a finished one but its disk.
RunEstimate estimate_run(const PlannedRun& run, const Speed& speed);

struct Estimate {
  double tokens = 0;        ///< still to be trained on
  double seconds = 0;       ///< one run after the other
  double memory_bytes = 0;  ///< of the largest run left: measured, or counted
  double disk_bytes = 0;    ///< when all have ended, and what the largest takes besides while it goes on
};
Estimate estimate(const std::vector<PlannedRun>& runs, const Speed& speed);

/// What so many seeds could tell.
struct Detectable {
  int seeds = 0;
  double difference = 0;  ///< a true one that would be found in 4 of 5 such experiments
};
/// For 3 to 10 seeds and for `seeds`, ascending: `sd` is that of paired differences between seeds, as a pilot's
/// comparisons.csv has it; the level is 0.05 over `comparisons`, the strictest that Holm's correction may ask for.
std::vector<Detectable> detectable_by_seeds(double sd, size_t comparisons, int seeds);

}  // namespace skipattn::experiments
