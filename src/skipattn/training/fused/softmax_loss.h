// Cross entropy of rows of logits and its gradient, in place: a row is read while it is in the cache, and no copy of the
// logits in another type is ever made.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::training::fused {

/// One call, over N rows. Arithmetic is fp32.
struct SoftmaxLoss {
  at::Tensor logits = {};   ///< [N, W], W >= vocabulary, fp32 or bf16, contiguous
  at::Tensor targets = {};  ///< int64 [N], below vocabulary; -1: the row does not count
  at::Tensor losses = {};   ///< out, fp32 [N]: ln sum_j exp(logits[i, j]) - logits[i, targets[i]]; 0 where it is -1
  int64_t vocabulary = 0;   ///< columns that are tokens; the rest is padding
  /// fp32 scalar beside the logits, or undefined: no gradient. The logits become scale * (softmax - one-hot), zeros in the
  /// padding and in rows whose target is -1.
  at::Tensor gradient_scale = {};
};
/// On the CPU it throws c10::IndexError for a target outside the vocabulary; a card does not look.
void softmax_loss(const SoftmaxLoss& call);

}  // namespace skipattn::training::fused
