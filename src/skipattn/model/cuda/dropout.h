// Dropout (../fused/dropout.h) on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct DropRows {
  void* x;  ///< [rows, width]: dropped in place, or, as a mask, set to 1 (kept) and 0
  int64_t rows, width;
  double p;
  uint64_t seed;
  bool is_mask;
  bool bf16;
};
void drop_rows(const DropRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
