// Token and position embeddings: the residual's first value, and the tables' gradients (no atomics: every table element
// is summed by one thread, in the order of the tokens).
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model::fused {

/// residual [N, D] fp32 = tokens[token_ids] + positions[position_ids]; tables fp32 or bf16 [rows, D], ids int64 [N].
/// An undefined position table adds nothing.
void embed(const at::Tensor& token_table, const at::Tensor& token_ids, const at::Tensor& position_table,
           const at::Tensor& position_ids, const at::Tensor& residual);

/// table_gradient[ids[i]] += gradient[i]; fp32 [rows, D], int64 [N], fp32 [N, D].
void add_embedding_gradient(const at::Tensor& table_gradient, const at::Tensor& ids, const at::Tensor& gradient);

/// Zeroes a contiguous tensor on all threads.
void set_to_zero(const at::Tensor& tensor);

}  // namespace skipattn::model::fused
