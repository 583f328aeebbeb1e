// Profiling: a workload's steps timed one by one, the machine's own limits measured between them.
//
//   const Profile profile = measure(*workload, decoder, {.steps = 5});
//   profile.step.median, profile.utilisation(), profile.operations
//
// Steps and measurements of the machine alternate, so that a machine that is disturbed disturbs both.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skipattn/analysis/gemm_rate.h"
#include "skipattn/analysis/spread.h"
#include "skipattn/analysis/workload.h"
#include "skipattn/core/operation_timer.h"
#include "skipattn/core/progress.h"

namespace skipattn::analysis {

struct ProfileOptions {
  int64_t steps = 5;   ///< timed, 1 or more
  int64_t warmup = 2;  ///< before them, 1 or more
  ProgressSink progress = {};
};

/// One named operation of a step; "other" is what no timer covers, or what timers call so.
struct Operation {
  std::string name;
  double seconds = 0;  ///< of one step, mean over the timed ones
  double share = 0;    ///< of the step's time, [0, 1]; all shares sum to 1
};

struct Profile {
  std::vector<double> step_seconds;            ///< of the timed steps, in their order
  Spread step;                                 ///< of those
  StepFacts facts;                             ///< of the last step
  std::optional<double> first_loss;            ///< training: of the first step of all
  double gemm_peak = 0;                        ///< FLOP/s
  LinearShape gemm_shape;                      ///< that reached it
  double memory_bandwidth = 0;                 ///< bytes a second; 0: not measured (only decoding is bound by it)
  int64_t peak_memory_bytes = 0;               ///< of the process, what the meters hold left out
  std::optional<double> page_faults_per_step;  ///< minor ones, median over the steps after the second of all
  std::vector<Operation> operations;           ///< the longest first, "other" last

  double tokens_per_second() const { return static_cast<double>(facts.tokens) / step.median; }
  double achieved_flops() const { return facts.flops.total() / step.median; }
  double utilisation() const { return achieved_flops() / gemm_peak; }
  /// The shortest time a step can take: all FLOPs at the peak or all bytes at the bandwidth, whichever is longer.
  double roofline_seconds() const;
  double roofline_share() const { return roofline_seconds() / step.median; }
};

/// Runs the workload's steps. Products are timed with the step's rows in training and reading, and with kMostGemmRows in
/// decoding, where a step's few rows would measure the memory. Throws Stopped when a signal asks for the end.
Profile measure(Workload& workload, const model::Decoder& decoder, const WorkloadOptions& workload_options,
                const ProfileOptions& options);

/// The steps' operations from what the timers gathered over `steps` steps of `seconds` in all.
std::vector<Operation> to_operations(const std::vector<OperationTime>& times, double seconds, int64_t steps);

}  // namespace skipattn::analysis
