// The data and the starting point of a run: loaders, the tokenizer that goes into checkpoints, the checks between
// settings, data and models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "skipattn/data/loader.h"
#include "skipattn/data/token_files.h"
#include "skipattn/model/decoder.h"
#include "skipattn/training/run_config.h"

namespace skipattn::training {

struct RunData {
  std::shared_ptr<const data::TokenFiles> train_files;
  std::shared_ptr<const data::TokenFiles> val_files;  ///< null without data.val
  std::unique_ptr<data::Loader> train;
  std::unique_ptr<data::Loader> val;  ///< sequential; null without data.val
  int64_t val_windows = 0;            ///< how many of them one validation reads
  std::filesystem::path tokenizer;    ///< folder with tokenizer files; empty when there is none
};

/// Opens what config.data names; takes model.vocabulary, model.positions and end_of_text from it where they are not given.
/// InputError: files wrong or too short, vocabulary smaller than the data's.
RunData open_data(RunConfig& config);

/// Makes config.model that of a model folder, with the routing that `config` gives, if it gives one. InputError when
/// another model.* key that was given says something else than the folder.
void take_model_of(const std::filesystem::path& folder, RunConfig& config);

/// Compares a checkpoint's settings with today's; only lengths, intervals and the machine may differ (InputError lists
/// every other key with both values).
void check_same_settings(const std::string& checkpoint_toml, const RunConfig& config);

}  // namespace skipattn::training
