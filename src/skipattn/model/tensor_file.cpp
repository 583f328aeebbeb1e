#include "skipattn/model/tensor_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>

#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"

namespace skipattn::model {

namespace {

constexpr std::pair<io::DType, at::ScalarType> kTypes[] = {
    {io::DType::kF32, at::kFloat},  {io::DType::kBF16, at::kBFloat16}, {io::DType::kF16, at::kHalf},
    {io::DType::kF64, at::kDouble}, {io::DType::kI64, at::kLong},      {io::DType::kI32, at::kInt},
    {io::DType::kU8, at::kByte},    {io::DType::kBool, at::kBool},
};

io::DType stored_type(const at::Tensor& tensor) {
  for (const auto& [stored, type] : kTypes)
    if (type == tensor.scalar_type()) return stored;
  TORCH_INTERNAL_ASSERT(false, "no stored form for ", tensor.scalar_type());
}

/// Cuts the list, in order, into runs of at most `max_bytes`.
std::vector<NamedTensors> cut(const NamedTensors& tensors, uint64_t max_bytes) {
  std::vector<NamedTensors> shards;
  uint64_t filled = 0;
  for (const auto& named : tensors) {
    const auto bytes = static_cast<uint64_t>(named.second.nbytes());
    if (shards.empty() || (max_bytes > 0 && filled + bytes > max_bytes)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(named);
    filled += bytes;
  }
  return shards;
}

}  // namespace

at::Tensor to_tensor(const io::StoredTensor& stored, const std::string& name) {
  for (const auto& [dtype, type] : kTypes) {
    if (dtype != stored.dtype) continue;
    at::Tensor tensor = at::empty(stored.shape, at::TensorOptions(type));
    if (!stored.bytes.empty()) std::memcpy(tensor.data_ptr(), stored.bytes.data(), stored.bytes.size());
    return tensor;
  }
  throw InputError("tensor '{}' has element type {}; supported are F32, BF16, F16 and F64", name,
                   io::dtype_name(stored.dtype));
}

void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                   std::map<std::string, std::string> metadata) {
  std::vector<io::TensorDeclaration> declarations;
  for (const auto& [name, tensor] : tensors) declarations.push_back({name, stored_type(tensor), tensor.sizes().vec()});
  io::SafetensorsWriter writer(path, std::move(declarations), std::move(metadata));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    writer.write(name, {static_cast<const std::byte*>(plain.const_data_ptr()), static_cast<size_t>(plain.nbytes())});
  }
  writer.commit();
}

void write_tensor_shards(const std::filesystem::path& folder, const std::string& stem, const NamedTensors& tensors,
                         uint64_t max_bytes) {
  const std::vector<NamedTensors> shards = cut(tensors, max_bytes);
  if (shards.size() <= 1) {
    write_tensors(folder / (stem + ".safetensors"), tensors);
    return;
  }
  nlohmann::json files = nlohmann::json::object();
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
    write_tensors(folder / name, shards[i]);
    for (const auto& [tensor, value] : shards[i]) {
      files[tensor] = name;
      total += static_cast<int64_t>(value.nbytes());
    }
  }
  io::write_json_file(folder / (stem + ".safetensors.index.json"),
                      {{"metadata", {{"total_size", total}}}, {"weight_map", files}});
}

}  // namespace skipattn::model
