// RMSNorm (Zhang & Sennrich 2019) of every head of a projection by itself, in place: the query and key norms of Qwen3
// (Dehghani et al. 2023 have them as LayerNorm). Heads are fp32 or bf16, arithmetic is fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/fused/layer_norm.h"

namespace skipattn::model::fused {

/// x [N, heads * d] (rows contiguous, any row stride) becomes x / rms(x of its head) * weight [d]. What it was goes into
/// `kept`, of x's shape and dtype and any row stride, for the backward pass.
void head_norm_forward(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm);

/// One backward call.
struct HeadNormBackward {
  at::Tensor kept = {};             ///< [N, heads * d], the forward pass's
  at::Tensor gradient = {};         ///< [N, heads * d], kept's dtype: of the normed heads; becomes the projection's
  at::Tensor weight_gradient = {};  ///< fp32 [d]
  bool add = false;                 ///< add to weight_gradient instead of setting it
  at::Tensor scratch = {};          ///< fp32, norm_scratch(d) elements
};
void head_norm_backward(const HeadNormBackward& call, const NormParameters& norm);

}  // namespace skipattn::model::fused
