#include "skipattn/attention/cuda/fused_call.h"

#include <ATen/ATen.h>

namespace skipattn::attention::cuda {
namespace {

constexpr int64_t kRowBytes = 16;

bool is_aligned(const at::Tensor& tensor) {
  const auto bytes = static_cast<int64_t>(tensor.element_size());
  if (reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % kRowBytes != 0) return false;
  if (tensor.stride(3) != 1 || tensor.size(3) * bytes % kRowBytes != 0) return false;
  for (int64_t dim = 0; dim < 3; ++dim)
    if (tensor.size(dim) > 1 && tensor.stride(dim) * bytes % kRowBytes != 0) return false;
  return true;
}

}  // namespace

bool has_aligned_rows(const FusedCall& call) {
  return is_aligned(call.query) && is_aligned(call.key) && is_aligned(call.value);
}

std::vector<const FusedAttention*> framework_implementations() {
  return {&flash_attention(), &cudnn_attention(), &efficient_attention()};
}

}  // namespace skipattn::attention::cuda
