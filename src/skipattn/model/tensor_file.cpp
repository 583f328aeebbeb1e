#include "skipattn/model/tensor_file.h"

#include <ATen/ATen.h>

#include <cstring>

#include "skipattn/core/errors.h"

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

void write_tensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
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

}  // namespace skipattn::model
