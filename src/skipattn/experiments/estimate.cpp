#include "skipattn/experiments/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "skipattn/analysis/workload.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/memory.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/statistics.h"
#include "skipattn/routing/costs.h"
#include "skipattn/training/peak_memory.h"

namespace skipattn::experiments {

namespace {

constexpr int kTimedSteps = 3;
constexpr double kLogLineBytes = 400;                  // a step in metrics.jsonl and TensorBoard's file
constexpr double kProcessBytes = 350.0 * 1024 * 1024;  // the program with torch, before any tensor

routing::Costs costs_of(const PlannedRun& run) {
  const routing::Plan plan =
      routing::make_plan(routing::parse_routing(run.config.model.routing, run.config.model.routing_shape()));
  return routing::count_costs(plan, run.config.model.dimensions(), run.config.data.context, "bf16");
}

/// Tokens that the validations of a run read.
double validation_tokens(const training::RunConfig& config) {
  const auto steps = static_cast<double>(config.training.steps);
  const double every = config.training.eval_every > 0 ? static_cast<double>(config.training.eval_every) : steps;
  return std::max(1.0, steps / every) * static_cast<double>(config.training.eval_tokens);
}

/// fp32 weights, gradients and two moments, bf16 copies; and what the fused pass keeps between forward and backward.
double counted_memory(const PlannedRun& run) {
  const routing::Dimensions dims = run.config.model.dimensions();
  const auto tokens = static_cast<double>(run.config.training.micro_batch_size * run.config.data.context);
  const auto width = static_cast<double>(dims.width);
  const double heads = static_cast<double>((2 * dims.heads + 2 * dims.kv_heads) * dims.head_width);
  const double layer = 8 * width + 2 * heads + 2 * static_cast<double>(dims.mlp_width);
  const double layers = run.config.training.recompute ? 4 * width * static_cast<double>(dims.layers) + layer
                                                      : layer * static_cast<double>(dims.layers);
  return kProcessBytes + 18 * run.parameters + tokens * (layers + 24 * width);
}

/// Of the checkpoints of a run that is over: fp32 weights.
double kept_bytes(const PlannedRun& run) {
  return 4 * run.parameters * static_cast<double>(run.config.training.keep_last);
}

/// While it goes on: two moments as well, and one more checkpoint while it is being written.
double largest_bytes(const PlannedRun& run) {
  return 12 * run.parameters * static_cast<double>(run.config.training.keep_last + 1);
}

const PlannedRun& costliest(const std::vector<PlannedRun>& runs) {
  const PlannedRun* found = nullptr;
  double most = 0;
  for (const PlannedRun& run : runs) {
    const double cost = costs_of(run).flops_per_token_training *
                        static_cast<double>(run.config.training.micro_batch_size * run.config.data.context);
    if (!run.finished && (!found || cost > most)) {
      found = &run;
      most = cost;
    }
  }
  return found ? *found : runs.front();
}

}  // namespace

Speed given_speed(double tokens_per_second) {
  return {tokens_per_second, 0, std::nullopt, fmt::format("{} tokens/s as given", short_count(tokens_per_second))};
}

Speed measure_speed(const std::vector<PlannedRun>& runs, const ProgressSink& progress) {
  using Clock = std::chrono::steady_clock;
  const PlannedRun& run = costliest(runs);
  const training::RunConfig& config = run.config;
  const training::Machine machine = training::use_machine(config.run);
  reset_peak_resident();
  model::Decoder decoder(config.model);
  decoder.initialize(run.seed);
  const auto workload = analysis::make_workload(decoder,
                                                {.batch = config.training.micro_batch_size,
                                                 .context = config.data.context,
                                                 .recompute = config.training.recompute},
                                                machine);
  std::vector<double> seconds;
  for (int step = 0; step <= kTimedSteps; ++step) {  // the first is not counted
    if (stop_requested()) throw Stopped("stopped by a signal; nothing was begun");
    report(progress, {.task = "measure a step of " + run.variant->name,
                      .done = static_cast<double>(step),
                      .total = kTimedSteps + 1,
                      .unit = "steps",
                      .detail = {}});
    workload->prepare();
    const auto start = Clock::now();
    workload->step();
    if (step > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  Speed speed;
  speed.tokens_per_second =
      static_cast<double>(config.training.micro_batch_size * config.data.context) / median(seconds);
  speed.flops_per_second = speed.tokens_per_second * costs_of(run).flops_per_token_training;
  speed.peak_memory = static_cast<double>(training::peak_memory_bytes(machine.device));
  speed.basis = fmt::format("{} tokens/s measured in {} steps of '{}' ({}); other runs by their FLOPs",
                            short_count(speed.tokens_per_second), kTimedSteps, run.variant->name, machine.description);
  return speed;
}

RunEstimate estimate_run(const PlannedRun& run, const Speed& speed) {
  RunEstimate result;
  const double left = run.tokens - run.tokens_done;
  if (speed.flops_per_second > 0) {
    const routing::Costs costs = costs_of(run);
    const double share = run.tokens > 0 ? left / run.tokens : 0;
    result.seconds = (left * costs.flops_per_token_training +
                      share * validation_tokens(run.config) * costs.flops_per_token_forward) /
                     speed.flops_per_second;
  } else {
    result.seconds = left / speed.tokens_per_second;
  }
  result.memory_bytes = counted_memory(run);
  result.disk_bytes = kept_bytes(run) + kLogLineBytes * static_cast<double>(run.config.training.steps);
  return result;
}

Estimate estimate(const std::vector<PlannedRun>& runs, const Speed& speed) {
  Estimate sum;
  double largest = 0;
  for (const PlannedRun& run : runs) {
    const RunEstimate one = estimate_run(run, speed);
    sum.tokens += run.tokens - run.tokens_done;
    sum.seconds += one.seconds;
    sum.disk_bytes += one.disk_bytes;
    if (run.finished) continue;
    sum.memory_bytes = std::max(sum.memory_bytes, one.memory_bytes);
    largest = std::max(largest, largest_bytes(run) - kept_bytes(run));
  }
  sum.disk_bytes += largest;
  if (speed.peak_memory && sum.memory_bytes > 0) sum.memory_bytes = *speed.peak_memory;
  return sum;
}

std::vector<Detectable> detectable_by_seeds(double sd, size_t comparisons, int seeds) {
  constexpr double kLevel = 0.05, kPower = 0.8;
  std::vector<Detectable> list;
  for (const int count : std::set<int>{3, 4, 5, 6, 8, 10, std::max(seeds, 2)})
    list.push_back({count, sd * detectable_difference(count, kPower,
                                                      kLevel / static_cast<double>(std::max<size_t>(comparisons, 1)))});
  return list;
}

}  // namespace skipattn::experiments
