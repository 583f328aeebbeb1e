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
#include "skipattn/experiments/report_data.h"
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
  bool finished = false;  ///< has a result
  double tokens = 0;      ///< to be trained on in all
  double parameters = 0;
};

/// All runs, seeds outside and variants inside, so that drifts of the machine hit all variants alike.
std::vector<PlannedRun> plan_runs(const Experiment& experiment, const std::filesystem::path& out);

/// Does the shard's runs that are not finished. A run that diverges is recorded and the others go on. Throws Stopped after
/// saving, InputError when a finished run was made with other settings.
void do_runs(const Experiment& experiment, const std::filesystem::path& out, const Shard& shard,
             const ProgressSink& progress);

/// Throws InputError when a finished run was made with other settings than it would have now.
void check_finished_runs(const Experiment& experiment, const std::filesystem::path& out);

/// What the folders hold, with statistics; runs without a result say so. `cache_dtype`: of the KV bytes per token.
ReportData collect(const Experiment& experiment, const std::filesystem::path& out, const std::string& cache_dtype);

}  // namespace skipattn::experiments
