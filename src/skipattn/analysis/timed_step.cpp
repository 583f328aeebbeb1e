#include "skipattn/analysis/timed_step.h"

#include <chrono>

#include "skipattn/core/errors.h"
#include "skipattn/core/memory.h"
#include "skipattn/core/stop.h"

namespace skipattn::analysis {

TimedStep timed_step(Workload& workload) {
  if (stop_requested()) throw Stopped("stopped by a signal; a profile in part is none");
  workload.prepare();
  const int64_t faults = minor_page_faults();
  const auto begin = std::chrono::steady_clock::now();
  workload.step();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {seconds, minor_page_faults() - faults};
}

void report_step(const ProgressSink& sink, StepCount count) {
  report(sink, {.task = "profile",
                .done = static_cast<double>(count.step),
                .total = static_cast<double>(count.total),
                .unit = "steps",
                .detail = "",
                .finished = count.step == count.total});
}

}  // namespace skipattn::analysis
