// What is kept of one finished run of an experiment: result.json in its folder, beside the metrics and the checkpoint.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "skipattn/experiments/report/data.h"
#include "skipattn/training/training_run.h"

namespace skipattn::experiments {

struct RunResult {
  SeedRun run;           ///< losses by position, validation loss; curves come from metrics.jsonl
  std::string settings;  ///< run.toml, to notice that something changed since
  double tokens_per_second = 0;
  double peak_memory_bytes = 0;
  double parameters = 0;
  std::string machine;
};

/// From a training run that came to its end.
RunResult to_run_result(const training::TrainingResult& result, uint64_t seed, const std::string& settings);

void write_run_result(const std::filesystem::path& folder, const RunResult& result);
/// The result with its curves; nothing when the run has none yet. InputError when the file is damaged.
std::optional<RunResult> read_run_result(const std::filesystem::path& folder);

}  // namespace skipattn::experiments
