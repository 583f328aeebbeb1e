// From tensors to what kernel files know: plain pointers, and fp32 or bf16 as a flag.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::cuda {

/// The tensor's data; null for an undefined one.
template <typename T = void>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

/// Whether a tensor that must be fp32 or bf16 is bf16.
inline bool is_bf16(const at::Tensor& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kFloat,
                        "fused kernels take fp32 and bf16");
  return tensor.scalar_type() == at::kBFloat16;
}

}  // namespace skipattn::cuda
