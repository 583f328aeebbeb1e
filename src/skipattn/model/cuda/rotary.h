// Rotary position embedding (../fused/rotary.h) on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct RotaryRows {
  void* x;                   ///< [rows, heads * 2 * half], turned in place
  const int64_t* positions;  ///< [rows]
  const float* table;        ///< [positions, 2, half]
  int64_t rows, heads, half;
  int64_t stride;  ///< elements from row to row
  bool back;
  bool bf16;
};
void rotate_rows(const RotaryRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
