#include "skipattn/analysis/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "skipattn/analysis/device_wait.h"
#include "skipattn/analysis/memory_bandwidth.h"
#include "skipattn/analysis/timed_step.h"
#include "skipattn/core/memory.h"
#include "skipattn/training/peak_memory.h"

namespace skipattn::analysis {

namespace {

/// Steps whose page faults still belong to the start.
constexpr int64_t kStepsThatMayFault = 2;
/// Decoding steps are short: this many share one measurement of the machine.
constexpr int64_t kDecodeStepsPerSample = 4;
/// The machine is measured for this share of a step's time, so that a longer step is held against more of the machine's
/// ups and downs.
constexpr double kMeterShare = 0.05;
/// Steps of a card that are timed operation by operation.
constexpr int64_t kWaitingSteps = 2;
/// torch's threads go on spinning after the meters, for about so long, and a decoding step has threads of its own.
constexpr std::chrono::milliseconds kSettling(25);

int64_t gemm_rows(const WorkloadOptions& options) {
  if (options.mode == Mode::kDecode) return kMostGemmRows;
  const bool in_parts = options.mode == Mode::kTrain && options.micro_batch > 0;
  return (in_parts ? options.micro_batch : options.batch) * options.context;
}

/// The products that a device's rate is taken from.
std::vector<LinearShape> rate_shapes(const model::Decoder& decoder, const WorkloadOptions& options) {
  const at::Device device = decoder.head_weight().device();
  const int64_t rows = gemm_rows(options);
  if (device.is_cpu()) return linear_shapes(decoder.config(), decoder.plan(), std::min(rows, kMostGemmRows));
  std::vector<LinearShape> shapes = linear_shapes(decoder.config(), decoder.plan(), rows);
  shapes.push_back(kLargeShape);
  return shapes;
}

/// What is measured of the machine between steps.
class MachineMeters {
 public:
  MachineMeters(const model::Decoder& decoder, const WorkloadOptions& options)
      : gemm_(rate_shapes(decoder, options), decoder.dtype(), decoder.head_weight().device()) {
    if (options.mode == Mode::kDecode) triad_.emplace();
  }

  /// For about so long, at least once.
  void sample(double seconds) {
    const auto begin = std::chrono::steady_clock::now();
    do {
      gemm_.sample();
      if (triad_) triad_->sample();
    } while (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < seconds);
  }
  int64_t bytes() const { return gemm_.bytes() + (triad_ ? triad_->bytes() : 0); }
  void report_to(Profile& profile) const {
    profile.gemm_peak = gemm_.peak();
    profile.gemm_shape = gemm_.best_shape();
    if (triad_) profile.memory_bandwidth = triad_->bandwidth();
  }

 private:
  GemmMeter gemm_;
  std::optional<TriadMeter> triad_;
};

/// Timers on while this lives.
class TimersOn {
 public:
  explicit TimersOn(at::Device device) {
    reset_operation_times();
    enable_operation_timers(
        true, device.is_cpu() ? std::function<void()>() : [device] { wait_for(device); });
  }
  ~TimersOn() { enable_operation_timers(false); }
  TimersOn(const TimersOn&) = delete;
  TimersOn& operator=(const TimersOn&) = delete;
};

}  // namespace

double Profile::roofline_seconds() const {
  const double compute = facts.flops.total() / gemm_peak;
  return memory_bandwidth > 0 ? std::max(compute, facts.bytes_read / memory_bandwidth) : compute;
}

std::vector<Operation> to_operations(const std::vector<OperationTime>& times, double seconds, int64_t steps) {
  std::vector<Operation> operations;
  double covered = 0;
  for (const OperationTime& time : times) {
    if (time.name == "other") continue;  // the rest below, whether a timer says so or none does
    operations.push_back({time.name, time.seconds / static_cast<double>(steps), time.seconds / seconds});
    covered += time.seconds;
  }
  std::stable_sort(operations.begin(), operations.end(),
                   [](const Operation& a, const Operation& b) { return a.seconds > b.seconds; });
  const double rest = std::max(seconds - covered, 0.0);
  operations.push_back({"other", rest / static_cast<double>(steps), rest / seconds});
  return operations;
}

namespace {

/// The operations of a card's steps: steps of their own, which the timers' waiting slows down.
std::vector<Operation> operations_of_waiting_steps(Workload& workload, at::Device device) {
  const TimersOn timers(device);
  double seconds = 0;
  for (int64_t step = 0; step < kWaitingSteps; ++step) seconds += timed_step(workload).seconds;
  return to_operations(operation_times(), seconds, kWaitingSteps);
}

}  // namespace

Profile measure(Workload& workload, const model::Decoder& decoder, const WorkloadOptions& workload_options,
                const ProfileOptions& options) {
  Profile profile;
  const at::Device device = decoder.head_weight().device();
  const int64_t total = options.warmup + options.steps;
  for (int64_t step = 0; step < options.warmup; ++step) {
    timed_step(workload);
    if (step == 0) profile.first_loss = workload.facts().loss;
    report_step(options.progress, {.step = step + 1, .total = total});
  }
  // Taken before the meters hold memory of their own.
  profile.peak_memory_bytes = training::peak_memory_bytes(device);
  MachineMeters meters(decoder, workload_options);
  const int64_t steps_per_sample = workload_options.mode == Mode::kDecode ? kDecodeStepsPerSample : 1;
  std::vector<double> faults;
  std::optional<TimersOn> timers;
  if (device.is_cpu()) timers.emplace(device);
  for (int64_t step = 0; step < options.steps; ++step) {
    if (device.is_cpu()) reset_peak_resident();
    const TimedStep timed = timed_step(workload);
    profile.step_seconds.push_back(timed.seconds);
    if (device.is_cpu())  // a card's steps take no more than the first ones
      profile.peak_memory_bytes = std::max(profile.peak_memory_bytes, peak_resident_bytes() - meters.bytes());
    if (options.warmup + step >= kStepsThatMayFault) faults.push_back(static_cast<double>(timed.page_faults));
    if (step % steps_per_sample == 0) {
      meters.sample(kMeterShare * timed.seconds);
      if (workload_options.mode == Mode::kDecode) std::this_thread::sleep_for(kSettling);
    }
    report_step(options.progress, {.step = options.warmup + step + 1, .total = total});
  }
  profile.step = spread_of(profile.step_seconds);
  profile.facts = workload.facts();
  meters.report_to(profile);
  if (!faults.empty()) profile.page_faults_per_step = spread_of(faults).median;
  const double seconds = std::accumulate(profile.step_seconds.begin(), profile.step_seconds.end(), 0.0);
  profile.operations = device.is_cpu() ? to_operations(operation_times(), seconds, options.steps)
                                       : operations_of_waiting_steps(workload, device);
  return profile;
}

}  // namespace skipattn::analysis
