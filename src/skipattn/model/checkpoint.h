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

/// Loads a folder (ours or a Hugging Face GPT-2, Llama, Mistral, Qwen2 or Qwen3; names with or without their first part),
/// fp32, [out, in].
/// InputError lists every missing, unexpected or wrongly shaped tensor and those that hold NaN or infinite numbers.
Decoder load_model(const std::filesystem::path& folder);

/// How weights are written.
struct SaveOptions {
  at::ScalarType dtype = at::kFloat;  ///< of all tensors in the file, kFloat or kBFloat16
  uint64_t max_shard_bytes = 0;       ///< more than this is split over files with an index (tensor_file.h); 0: never
};

/// Writes config.json and model.safetensors into an existing folder. `values` are the parameters in the table's order
/// (the fp32 masters while training); each file is atomic, the folder is the caller's.
void save_model(const std::filesystem::path& folder, const Decoder& decoder, const std::vector<at::Tensor>& values,
                const SaveOptions& options = {});

/// Copies the tokenizer's files that `from` has (vocab.json, merges.txt, tokenizer.json, …) and Transformers' settings for
/// generating; returns how many.
int copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace skipattn::model
