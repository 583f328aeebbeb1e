// The norm of every head (../fused/head_norm.h) on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct HeadNormRows {
  void* x;     ///< forward: the heads, normed in place; backward: the gradient, in place
  void* kept;  ///< what the heads were: written forward, read backward
  const float* weight;
  float* parts;                   ///< backward: [blocks][head_width], sums for the weight's gradient
  int64_t rows, heads;            ///< heads of each row
  int64_t head_width;             ///< at most 256
  int64_t x_stride, kept_stride;  ///< elements from row to row
  float epsilon;
  bool bf16;
};
void head_norm_rows_forward(const HeadNormRows& rows, skipattn::cuda::Stream stream);
/// Returns how many parts there are, at most kNormParts.
int64_t head_norm_rows_backward(const HeadNormRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
