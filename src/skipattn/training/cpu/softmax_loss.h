// Cross entropy of rows of logits and its gradient, in place: a row is read while it is in the cache, and no copy of the
// logits in another type is ever made.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::training::cpu {

/// losses[i] = ln sum_j exp(logits[i, j]) - logits[i, targets[i]], fp32 [N]; 0 where the target is -1.
/// With gradient_scale not 0, logits [N, V] (fp32 or bf16, contiguous) become gradient_scale * (softmax - one-hot), zeros
/// where the target is -1. Arithmetic is fp32. Throws c10::IndexError for a target of V or more.
void softmax_loss(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& losses, double gradient_scale);

}  // namespace skipattn::training::cpu
