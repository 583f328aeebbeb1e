// Large memory that stays: zeroed, on huge pages where the system gives them, touched for the first time by its first use.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace skipattn::model {

/// `bytes` bytes of zeros as a uint8 tensor, on the CPU aligned to 2 MiB. Throws RunError when there is no such memory.
at::Tensor map_memory(int64_t bytes, at::Device device = at::kCPU);

/// Contiguous tensors of zeros of these shapes, one after the other in one piece of memory (64-byte aligned).
std::vector<at::Tensor> zeros_together(const std::vector<std::vector<int64_t>>& shapes, at::ScalarType dtype,
                                       at::Device device = at::kCPU);

}  // namespace skipattn::model
