// SwiGLU (Shazeer 2020): silu(gate) * up, forward and backward in one pass over memory each. fp32 or bf16, all of one
// dtype, contiguous; arithmetic is fp32.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// gate_up [N, 2 F]: gates, then what they multiply, as one fused projection makes them. output [N, F].
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& output);

/// gate_up becomes its own gradient, in place; output_gradient [N, F]; output [N, F] is made once more and may be
/// output_gradient itself.
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& output_gradient, const at::Tensor& output);

}  // namespace skipattn::model::fused
