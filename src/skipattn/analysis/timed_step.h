// One step of a workload, timed. What profile.h and step_comparison.h have in common.
#pragma once

#include <cstdint>

#include "skipattn/analysis/workload.h"
#include "skipattn/core/progress.h"

namespace skipattn::analysis {

struct TimedStep {
  double seconds = 0;
  int64_t page_faults = 0;  ///< minor ones
};

/// prepare(), untimed, then step(). Throws Stopped when a signal has asked for the end.
TimedStep timed_step(Workload& workload);

/// How far the steps are.
struct StepCount {
  int64_t step = 0;
  int64_t total = 0;
};
void report_step(const ProgressSink& sink, StepCount count);

}  // namespace skipattn::analysis
