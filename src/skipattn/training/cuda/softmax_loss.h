// ../fused/softmax_loss.h on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE {

struct LossRows {
  void* logits;
  const int64_t* targets;
  float* losses;
  const float* gradient_scale;  ///< null: no gradient
  int64_t rows, vocabulary;
  int64_t stride;  ///< columns of a row with its padding
  bool bf16;       ///< logits; else fp32
};
void softmax_loss_rows(const LossRows& rows, skipattn::cuda::Stream stream);

}  // namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE
