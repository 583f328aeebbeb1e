// Next-token loss over chunks of rows: the [tokens, vocabulary] logits never exist as a whole.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::training {

/// Rows per chunk so that one chunk of fp32 logits takes about 32 MiB, on a card 1 GiB.
int64_t loss_chunk_rows(int64_t vocabulary, at::Device device = at::kCPU);

/// Mean cross entropy (nats) of hidden [N, D] against targets int64 [N] under the vocabulary head weight [V, D], as a
/// scalar (fp32; fp64 for fp64 inputs). Targets of -1 do not count. Differentiable once; the gradients are made during
/// the forward pass, while a chunk's logits are at hand.
at::Tensor cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

/// What loss_and_gradients() writes, and how.
struct LossGradients {
  at::Tensor hidden = {};   ///< [N, D], hidden's dtype: set
  at::Tensor weight = {};   ///< fp32 [W, D], as many rows as the head has
  bool add = false;         ///< add to `weight` instead of setting it
  double scale = 1.0;       ///< of both, such as 1 / micro-batches
  int64_t vocabulary = 0;   ///< the head's first rows are tokens, the rest is padding, whose gradient is 0; 0: all are
  at::Tensor scratch = {};  ///< uint8, loss_scratch_bytes(); less (one row at least) means more chunks
};
/// cross_entropy() and its gradients under a head [W, D] without autograd, for bf16 and fp32 where there are fused kernels.
/// Nothing waits for a card. Returns the mean loss (not scaled), an fp64 scalar on hidden's device.
at::Tensor loss_and_gradients(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets,
                              const LossGradients& gradients);
/// Scratch for loss_and_gradients() over `rows` rows of `hidden`'s dtype and device under a head of `width` rows.
int64_t loss_scratch_bytes(int64_t rows, int64_t width, const at::TensorOptions& hidden);

/// Cross entropy of every token, fp32 [N]; 0 where the target is -1. No gradient.
at::Tensor token_losses(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

/// The definition of cross_entropy() in plain torch operations.
at::Tensor cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

}  // namespace skipattn::training
