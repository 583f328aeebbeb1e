// Sums over the rows of a matrix: gradients of biases.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// sums fp32 [O] = the column sums of matrix [N, O] (fp32 or bf16, rows contiguous, any row stride), or += them. The order
/// of a sum is the same in every call.
void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add);

}  // namespace skipattn::model::fused
