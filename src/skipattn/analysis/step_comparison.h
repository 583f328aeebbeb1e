// Two workloads step by step beside each other, so that what disturbs the machine disturbs both.
#pragma once

#include <cstdint>
#include <vector>

#include "skipattn/analysis/workload.h"
#include "skipattn/core/progress.h"

namespace skipattn::analysis {

/// Seconds of the steps of one pair each, in the order in which they were done.
struct StepPairs {
  std::vector<double> first;
  std::vector<double> second;
};

struct AlternationOptions {
  int64_t pairs = 20;  ///< timed, 1 or more
  int64_t warmup = 2;  ///< untimed steps of each before
  ProgressSink progress = {};
};

/// Which of a pair goes first changes from pair to pair. Throws Stopped when a signal asks for the end.
StepPairs alternate(Workload& first, Workload& second, const AlternationOptions& options);

}  // namespace skipattn::analysis
