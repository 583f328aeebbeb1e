// Tensors to and from safetensors files.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "skipattn/io/safetensors.h"
#include "skipattn/io/safetensors_writer.h"

namespace skipattn::model {

/// A copy of a stored tensor on the CPU, in its own dtype. InputError when torch has no such dtype; `name` is for that.
at::Tensor to_tensor(const io::StoredTensor& stored, const std::string& name);

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Named tensors (any device, any strides; fp32, bf16, fp16, fp64, int64, int32, uint8) written as one file.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   std::map<std::string, std::string> metadata = {});

/// Tensors as folder/STEM.safetensors or, when they take more than `max_bytes`, as Hugging Face's shards:
/// STEM-00001-of-0000N.safetensors, each of at most that size (a larger tensor has one of its own), in the order given,
/// and STEM.safetensors.index.json, which says what lies where. 0: one file, whatever its size.
void write_tensor_shards(const std::filesystem::path& folder, const std::string& stem, const NamedTensors& tensors,
                         uint64_t max_bytes);

}  // namespace skipattn::model
