// compare: variants × seeds under one data order and paired initial weights, and what came of it.
//
// Every run has a folder, OUT/runs/VARIANT/seed-N, that `skipattn train --resume` understands; a finished run leaves
// result.json there and is not done again. So a comparison can be stopped and started at will, split over machines
// (shards share the folder), and given more seeds later.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/experiments/report/data.h"
#include "skipattn/experiments/variants.h"

namespace skipattn::experiments {

/// Which part of the runs to do: number `index` of `count`, from 1.
struct Shard {
  int index = 1;
  int count = 1;
};
/// "2/3"; InputError otherwise.
Shard parse_shard(const std::string& text);

/// One run of an experiment.
struct PlannedRun {
  const Variant* variant = nullptr;
  uint64_t seed = 0;
  std::filesystem::path folder;
  bool finished = false;   ///< has a result
  double tokens = 0;       ///< to be trained on in all
  double tokens_done = 0;  ///< of these, up to the newest checkpoint or the end
  double parameters = 0;
  training::RunConfig config;  ///< with everything derived, the data's part too
};

/// Whether a run is the shard's. Every seed's runs are dealt out in turn, beginning one shard later than the seed before:
/// no shard gets one variant only, and seeds added later move nothing.
bool is_in_shard(const Experiment& experiment, size_t run, const Shard& shard);

/// All runs, seeds outside and variants inside, so that drifts of the machine hit all variants alike.
std::vector<PlannedRun> plan_runs(const Experiment& experiment, const std::filesystem::path& out);

/// Does the shard's runs that are not finished and that no other process is at. So several processes may do the same runs
/// together. A run that diverges is recorded and the others go on. Throws Stopped after saving, InputError when a finished run was made with other settings.
void do_runs(const Experiment& experiment, const std::filesystem::path& out, const Shard& shard,
             const ProgressSink& progress);

/// Throws InputError when a finished run was made with other settings than it would have now.
void check_finished_runs(const Experiment& experiment, const std::filesystem::path& out);

/// What the folders hold of one variant, before it is compared: not filled are is_baseline, predicted_flops_ratio and the
/// statistics.
struct VariantFigures {
  ReportVariant row;
  double flops_per_token_forward = 0;
  double flops_per_token_training = 0;
};
/// Of every variant; `cache_dtype` is that of the KV bytes per token.
std::vector<VariantFigures> collect_variants(const Experiment& experiment, const std::vector<PlannedRun>& runs,
                                             const std::string& cache_dtype);

/// Facts for a report: model, training and data of one variant; the machines that the runs were made on; the time.
std::vector<std::string> model_lines(const Experiment& experiment, const Variant& variant);
std::vector<std::string> machine_lines(const std::vector<PlannedRun>& runs);
std::string time_now();

/// What the folders hold, with statistics; runs without a result say so. `cache_dtype`: of the KV bytes per token.
ReportData collect(const Experiment& experiment, const std::filesystem::path& out, const std::string& cache_dtype);

}  // namespace skipattn::experiments
