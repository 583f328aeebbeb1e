#include "skipattn/experiments/compare.h"

#include <fmt/format.h>

#include <charconv>

#include "skipattn/core/errors.h"
#include "skipattn/core/memory.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/run_lock.h"
#include "skipattn/experiments/run_result.h"
#include "skipattn/training/diverged.h"
#include "skipattn/training/machine.h"
#include "skipattn/training/run_data.h"
#include "skipattn/training/run_folder.h"
#include "skipattn/training/training_run.h"

namespace skipattn::experiments {

namespace {

namespace fs = std::filesystem;

training::RunConfig finished_config(const Experiment& experiment, const PlannedRun& planned) {
  training::RunConfig config = run_config(experiment, *planned.variant, planned.seed);
  training::finish_run_config(config);
  return config;
}

/// A finished run must have been made with the settings that hold now.
void check_finished(const RunResult& result, const training::RunConfig& config, const fs::path& folder,
                    const std::string& command) {
  try {
    training::RunConfig filled = config;
    training::open_data(filled);
    training::check_same_settings(result.settings, filled);
    const training::RunConfig before = training::parse_run_config(result.settings, "result.json");
    if (before.training.steps != config.training.steps)
      throw InputError("training.steps: it was run for {}, now it is {}", before.training.steps, config.training.steps);
  } catch (const InputError& error) {
    throw InputError("[{}] '{}' holds a finished run with other settings; use another --out or delete it\n{}", command,
                     folder.string(), error.what());
  }
}

void do_run(const Experiment& experiment, const PlannedRun& planned, const std::string& task,
            const ProgressSink& progress) {
  training::TrainingRun run;
  run.config = run_config(experiment, *planned.variant, planned.seed);
  run.out = planned.folder;
  run.resume = true;
  run.task = task;
  run.progress = progress;
  reset_peak_resident();
  RunResult result;
  try {
    const training::TrainingResult trained = training::run_training(run);
    result = to_run_result(trained, planned.seed, trained.settings);
  } catch (const training::Diverged& error) {
    result.run.seed = planned.seed;
    result.run.problem = error.what();
    result.settings = error.settings();
  }
  // Before the result: killed between the two, the run ends once more from its last checkpoint. One that diverged may be
  // tried again.
  if (result.run.problem.empty()) training::RunFolder(planned.folder).remove_moments();
  write_run_result(planned.folder, result);
}

/// Read only: a dry run leaves no trace.
double tokens_in_checkpoint(const fs::path& folder) {
  if (!fs::exists(folder / "latest" / "trainer.json")) return 0;
  return static_cast<double>(training::read_trainer_state(folder / "latest").tokens);
}

}  // namespace

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char *begin = text.data(), *end = begin + text.size();
  const auto first = std::from_chars(begin, end, shard.index);
  const bool slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second = slash ? std::from_chars(first.ptr + 1, end, shard.count) : first;
  if (!slash || second.ec != std::errc() || second.ptr != end || shard.count < 1 || shard.index < 1 ||
      shard.index > shard.count)
    throw InputError("--shard {}: must be I/N with I from 1 to N, for example 2/3", text);
  return shard;
}

bool is_in_shard(const Experiment& experiment, size_t run, const Shard& shard) {
  const size_t variants = experiment.variants.size();
  const size_t turn = run % variants + run / variants;
  return turn % static_cast<size_t>(shard.count) == static_cast<size_t>(shard.index - 1);
}

std::vector<PlannedRun> plan_runs(const Experiment& experiment, const fs::path& out) {
  std::vector<PlannedRun> runs;
  for (const uint64_t seed : experiment.seeds) {
    for (const Variant& variant : experiment.variants) {
      PlannedRun planned;
      planned.variant = &variant;
      planned.seed = seed;
      planned.folder = out / "runs" / folder_name(variant.name) / fmt::format("seed-{}", seed);
      planned.finished = fs::exists(planned.folder / "result.json");
      training::RunConfig config = finished_config(experiment, planned);
      training::open_data(config);
      planned.tokens = static_cast<double>(config.training.steps * config.training.batch_size * config.data.context);
      planned.tokens_done = planned.finished ? planned.tokens : tokens_in_checkpoint(planned.folder);
      planned.parameters = static_cast<double>(
          routing::count_costs(
              routing::make_plan(routing::parse_routing(config.model.routing, config.model.routing_shape())),
              config.model.dimensions(), config.data.context, "bf16")
              .parameters);
      planned.config = std::move(config);
      runs.push_back(std::move(planned));
    }
  }
  return runs;
}

void check_finished_runs(const Experiment& experiment, const fs::path& out) {
  for (const PlannedRun& planned : plan_runs(experiment, out))
    if (const auto result = read_run_result(planned.folder))
      check_finished(*result, finished_config(experiment, planned), planned.folder, experiment.command);
}

void do_runs(const Experiment& experiment, const fs::path& out, const Shard& shard, const ProgressSink& progress) {
  check_finished_runs(experiment, out);
  const std::vector<PlannedRun> runs = plan_runs(experiment, out);
  for (const PlannedRun& planned : runs)
    if (!planned.finished)
      training::use_machine(planned.config.run);  // what this one lacks, before anything is written
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!is_in_shard(experiment, i, shard)) continue;
    const PlannedRun& planned = runs[i];
    if (planned.finished) continue;
    const auto lock = RunLock::take(planned.folder);
    if (!lock || fs::exists(planned.folder / "result.json")) continue;  // another process is at it, or was
    const std::string task = fmt::format("[{}/{}] {} seed {}", i + 1, runs.size(), planned.variant->name, planned.seed);
    do_run(experiment, planned, task, progress);
  }
}

}  // namespace skipattn::experiments
