// A model folder, as Hugging Face lays it out: config.json, model.safetensors (or shards), tokenizer files.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "skipattn/model/decoder.h"

namespace skipattn::model {

/// Where the model of `path` lies: the folder itself, or, for a training output, its newest checkpoint.
std::filesystem::path resolve_model_folder(const std::filesystem::path& path);

/// Loads a folder (ours or a Hugging Face GPT-2, names with or without "transformer."), fp32, [out, in].
/// InputError lists every missing, unexpected or wrongly shaped tensor.
Decoder load_model(const std::filesystem::path& folder);

/// Writes config.json and model.safetensors into an existing folder. `values` are the parameters in the table's order
/// (the fp32 masters while training); each file is atomic, the folder is the caller's.
void save_model(const std::filesystem::path& folder, const Decoder& decoder, const std::vector<at::Tensor>& values);

/// Copies the tokenizer's files that `from` has (vocab.json, merges.txt, tokenizer.json, …); returns how many.
int copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

/// A model given another routing.
struct Rerouted {
  Decoder decoder;
  std::vector<std::string> kept;     ///< tensors kept whole or in part
  std::vector<std::string> dropped;  ///< "name: key heads 0-8, value heads 0-8" of every part that nobody reads now
};

/// Gives `source` another routing: live heads keep their weights, dead ones are dropped.
/// InputError when the new routing reads a head that `source` has no weights for.
Rerouted reroute(const Decoder& source, const std::string& routing);

}  // namespace skipattn::model
