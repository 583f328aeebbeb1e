// --model NAME_OR_DIR: a preset with random weights, or a folder; and what goes with it.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "skipattn/model/config.h"
#include "skipattn/model/decoder.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::cli {

/// What commands that read and write text are told about their model.
struct ModelOptions {
  std::string model;
  std::string routing;
  std::string tokenizer;
};
void add_model_options(CLI::App& command, ModelOptions& options);

/// True when a folder is meant, false for a preset's name.
bool is_model_folder(const std::string& name_or_folder);

/// The config of a preset or of a folder's config.json, resolved, with `routing` (an argument text, "@file" too) put in
/// its place unless it is empty.
model::ModelConfig model_config(const std::string& name_or_folder, const std::string& routing);

/// The model itself: a folder's weights, or a preset's drawn from `seed`.
model::Decoder load_or_make_model(const std::string& name_or_folder, const std::string& routing, int64_t seed);

/// The tokenizer in `folder`, or, when that is empty, the one beside the model, where there is one.
std::optional<tokenizer::Tokenizer> find_tokenizer(const std::string& name_or_folder, const std::string& folder);

}  // namespace skipattn::cli
