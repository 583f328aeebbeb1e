#include "skipattn/attention/cuda/fused_call.h"

#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>

#include <map>
#include <mutex>

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

bool has_half_kernels(at::Device device) {
  if (!device.is_cuda()) return true;  // tests
  static std::mutex mutex;
  static std::map<at::DeviceIndex, bool> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace(device.index());
  if (is_new) {
    const at::Tensor probe = at::empty({1, 1, 64, 64}, at::TensorOptions(device).dtype(at::kBFloat16));
    const auto backend = static_cast<at::SDPBackend>(at::_fused_sdp_choice(probe, probe, probe));
    found->second = backend == at::SDPBackend::flash_attention || backend == at::SDPBackend::cudnn_attention;
  }
  return found->second;
}

std::vector<const FusedAttention*> framework_implementations() {
  return {&flash_attention(), &cudnn_attention(), &efficient_attention()};
}

}  // namespace skipattn::attention::cuda
