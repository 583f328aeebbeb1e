// Dropout whose mask is a pure function of a seed and an element's place: nothing is stored, and the backward pass makes
// the same mask again. The hash is the one of attention's dropout.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// mask fp32 [..., D], contiguous: 1 where an element is kept, 0 where it is dropped (with probability p).
void dropout_mask(const at::Tensor& mask, double p, uint64_t seed);

/// x [..., D] fp32 or bf16, contiguous: dropped elements become 0, the others x / (1 - p).
void drop_in_place(const at::Tensor& x, double p, uint64_t seed);

}  // namespace skipattn::model::fused
