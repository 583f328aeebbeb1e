#include "skipattn/analysis/step_comparison.h"

#include "skipattn/analysis/timed_step.h"

namespace skipattn::analysis {

StepPairs alternate(Workload& first, Workload& second, const AlternationOptions& options) {
  StepPairs pairs;
  for (int64_t pair = -options.warmup; pair < options.pairs; ++pair) {
    double a = 0, b = 0;
    if (pair % 2 == 0) {
      a = timed_step(first).seconds;
      b = timed_step(second).seconds;
    } else {
      b = timed_step(second).seconds;
      a = timed_step(first).seconds;
    }
    report_step(options.progress, {.step = options.warmup + pair + 1, .total = options.warmup + options.pairs});
    if (pair < 0) continue;
    pairs.first.push_back(a);
    pairs.second.push_back(b);
  }
  return pairs;
}

}  // namespace skipattn::analysis
