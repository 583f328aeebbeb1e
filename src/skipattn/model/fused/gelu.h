// GELU (Hendrycks & Gimpel 2016), in its tanh form (GPT-2's) and exactly, x Phi(x); forward and backward in one pass over
// memory each. Tensors are fp32 or bf16, contiguous, all of one shape and dtype; arithmetic is fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/fused/column_sums.h"

namespace skipattn::model::fused {

/// output = gelu(input)
void gelu_forward(const at::Tensor& input, const at::Tensor& output, bool exact);

/// gradient *= gelu'(input), in place; output = gelu(input) once more (what the next layer's weight gradient reads).
/// sums: column sums of the gradient [N, O] as it leaves, where sums_in_passing(); before it is rounded.
void gelu_backward(const at::Tensor& input, const at::Tensor& gradient, const at::Tensor& output, bool exact,
                   const SumsInPassing& sums = {});

}  // namespace skipattn::model::fused
