// The matrix products of linear layers, forward and backward, into tensors that exist already. No autograd.
//
//   linear_forward(y, x, weight, bias);                       // y  [N, O] = x [N, I] weight [O, I]^T + bias [O]
//   linear_input_gradient(dx, dy, weight);                    // dx [N, I] = dy [N, O] weight
//   linear_weight_gradient({dw, dbias, /*add=*/false}, dy, x);  // dw [O, I] = dy^T x, dbias [O] = column sums of dy
//
// x, y, weight and bias are all bf16 or all fp32; sums are fp32, gradients of weights are fp32 always. True fp32: nothing
// is rounded to a shorter type on the way. Matrices have unit stride along their rows; dw and dbias are contiguous.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model {

/// bias may be undefined.
void linear_forward(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

void linear_input_gradient(const at::Tensor& dx, const at::Tensor& dy, const at::Tensor& weight);

/// Where a layer's weight gradients go.
struct LinearGradient {
  at::Tensor weight = {};  ///< fp32 [O, I]
  at::Tensor bias = {};    ///< fp32 [O] or undefined
  bool add = false;        ///< add to both instead of setting them
};
void linear_weight_gradient(const LinearGradient& gradient, const at::Tensor& dy, const at::Tensor& x);

}  // namespace skipattn::model
