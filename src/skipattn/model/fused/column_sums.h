// Sums over the rows of a matrix: gradients of biases.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// sums fp32 [O] = the column sums of matrix [N, O] (fp32 or bf16, rows contiguous, any row stride), or += them. The order
/// of a sum is the same in every call.
void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add);

/// Whether the device's kernels that make a gradient sum its columns as they go, so that nobody need read it once more for a
/// bias. (The CPU's matrix products do that instead.)
bool sums_in_passing(at::Device device);

/// Where such a kernel leaves them.
struct SumsInPassing {
  at::Tensor to = {};  ///< fp32 [O]; undefined: nowhere
  bool add = false;    ///< add to it instead of setting it
};

}  // namespace skipattn::model::fused
