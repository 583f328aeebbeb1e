// A training run from its settings to its last checkpoint: what `skipattn train` does, and `compare` for every variant.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "skipattn/core/progress.h"
#include "skipattn/training/evaluation.h"
#include "skipattn/training/run_config.h"

namespace skipattn::training {

struct TrainingRun {
  RunConfig config;                           ///< not yet finished (finish_run_config is called here)
  std::filesystem::path out;                  ///< run_folder.h
  std::optional<std::filesystem::path> init;  ///< a model folder to start from instead of random weights
  bool resume = false;                        ///< go on from `out` where there is something to go on from
  std::string task = "train";                 ///< name for progress reports
  ProgressSink progress;
};

struct TrainingResult {
  int64_t steps = 0;
  int64_t tokens = 0;
  double train_loss = 0;            ///< mean over the last (up to) 20 steps
  std::optional<Evaluation> final;  ///< on data.val, after the last step; empty without data.val
  double tokens_per_second = 0;     ///< median over the steps of this process, the first left out
  int64_t peak_memory_bytes = 0;
  int64_t skipped_steps = 0;
  int64_t parameters = 0;
  std::string machine;
  std::string settings;  ///< run.toml
};

/// Runs, checkpoints, validates. Throws InputError (settings, data), RunError (disk, ten steps in a row that were not
/// finite) and Stopped (a signal; saved).
TrainingResult run_training(const TrainingRun& run);

}  // namespace skipattn::training
