// GELU and SwiGLU (../fused/gelu.h, ../fused/swiglu.h) on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

/// `count` neighbours. output may be input; gradient is null in the forward pass.
struct GeluRange {
  const void* input;
  void* output;
  void* gradient;  ///< *= gelu'(input), in place
  int64_t count;
  bool exact;
  bool bf16;
};
void gelu_range(const GeluRange& range, skipattn::cuda::Stream stream);

/// Backward over a matrix [count / columns, columns]; parts [gelu_sum_parts(rows)][columns]: column sums of `gradient` as it
/// leaves, over parts of the rows.
void gelu_rows_with_sums(const GeluRange& range, int64_t columns, float* parts, skipattn::cuda::Stream stream);
int64_t gelu_sum_parts(int64_t rows);

/// output_gradient is null in the forward pass; it may be output.
struct SwigluRows {
  void* gate_up;  ///< [rows, 2 width]; backward: becomes its own gradient
  const void* output_gradient;
  void* output;
  int64_t rows, width;
  bool bf16;
};
void swiglu_rows(const SwigluRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
