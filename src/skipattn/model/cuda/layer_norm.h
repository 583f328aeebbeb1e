// The norms of ../fused/layer_norm.h on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

/// Null pointers where a tensor of the call is undefined.
struct NormForwardRows {
  const float* residual;
  const void* branch;
  float* sum;
  void* normed;
  float* statistics;
  const float* weight;
  const float* bias;
  int64_t rows, width;
  float epsilon;
  bool centred;
  bool bf16;  ///< branch and normed; else fp32
};
void norm_rows_forward(const NormForwardRows& rows, skipattn::cuda::Stream stream);

struct NormBackwardRows {
  const float* input;
  const float* statistics;
  const void* normed_gradient;
  float* gradient;
  void* rounded;
  void* normed;
  const float* weight;
  const float* bias;
  float* parts;          ///< [blocks][2][width]: sums for the weight's and the bias's gradient
  float* rounded_parts;  ///< [blocks][width]: sums of `gradient` as it leaves, or null
  int64_t rows, width;
  bool first, centred;
  bool bf16;  ///< normed_gradient, rounded and normed; else fp32
};
/// Returns how many parts there are, at most kNormParts.
int64_t norm_rows_backward(const NormBackwardRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
