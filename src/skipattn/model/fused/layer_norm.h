// LayerNorm, and RMSNorm (Zhang & Sennrich 2019), over the fp32 residual, fused with what stands beside it in a layer.
// D is the row width, rows contiguous.
//
//   forward:  residual += branch;  normed = (residual - mean) * rstd * weight + bias
//   backward: gradient += d normed through the norm;  rounded = gradient;  normed is made again on the way
//
// Sums over rows (of the weight's and the bias's gradient) have one order for any number of threads.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// The norm's own tensors.
struct NormParameters {
  at::Tensor weight = {};  ///< fp32 [D]
  at::Tensor bias = {};    ///< fp32 [D] or undefined
  double epsilon = 1e-5;
  bool centred = true;  ///< false: RMSNorm, which takes no mean off
};

/// One forward call. Outputs may not overlap inputs, but `sum` may be `residual`.
struct NormForward {
  at::Tensor residual = {};    ///< fp32 [N, D]
  at::Tensor branch = {};      ///< fp32 or bf16 [N, D] to add first, or undefined
  at::Tensor sum = {};         ///< fp32 [N, D]: residual + branch; not written without a branch
  at::Tensor normed = {};      ///< out, fp32 or bf16 [N, D]
  at::Tensor statistics = {};  ///< out, fp32 [N, 2]: mean (RMSNorm: 0) and 1 / deviation of each row
};
void layer_norm_forward(const NormForward& call, const NormParameters& norm);

/// One backward call.
struct NormBackward {
  at::Tensor input = {};            ///< fp32 [N, D], what was normed
  at::Tensor statistics = {};       ///< fp32 [N, 2]
  at::Tensor normed_gradient = {};  ///< fp32 or bf16 [N, D]
  at::Tensor gradient = {};         ///< fp32 [N, D]: the input's gradient is added to it
  bool first = false;               ///< gradient holds nothing yet: set it
  at::Tensor rounded = {};          ///< out, gradient in normed_gradient's dtype, or undefined
  at::Tensor rounded_sums =
      {};                  ///< fp32 [D] or undefined: `rounded`'s column sums before rounding, if sums_in_passing()
  at::Tensor normed = {};  ///< out, the norm's output once more, in normed_gradient's dtype, or undefined
  at::Tensor weight_gradient = {};  ///< fp32 [D]
  at::Tensor bias_gradient = {};    ///< fp32 [D] or undefined
  bool add = false;         ///< add to the gradients of weight and bias and to rounded_sums instead of setting them
  at::Tensor scratch = {};  ///< fp32, norm_scratch(D) elements
};
void layer_norm_backward(const NormBackward& call, const NormParameters& norm);

/// The most parts that a backward call's sums over rows are kept in before they are joined.
inline constexpr int64_t kNormParts = 512;

/// fp32 elements of scratch that a backward call over rows of width D needs.
inline int64_t norm_scratch(int64_t width) {
  return kNormParts * 2 * width;
}

}  // namespace skipattn::model::fused
