// Tensors to and from safetensors files.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "skipattn/io/safetensors.h"
#include "skipattn/io/safetensors_writer.h"

namespace skipattn::model {

/// A copy of a stored tensor on the CPU, in its own dtype. InputError when torch has no such dtype; `name` is for that.
at::Tensor to_tensor(const io::StoredTensor& stored, const std::string& name);

/// Named tensors (any device, any strides; fp32, bf16, fp16, fp64, int64, int32, uint8) written as one file.
void write_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                   std::map<std::string, std::string> metadata = {});

}  // namespace skipattn::model
