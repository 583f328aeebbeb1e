// One call of the operator with its arguments in a usable form, and the checks of everything a
// caller can get wrong. Internal to attention/: kernels receive a Problem, never the flat lists of
// the schema.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention {

/// dtype of scores, of logsumexp and of sums over several contributions: fp64 for fp64, else fp32.
at::ScalarType accumulate_dtype(at::ScalarType dtype);

struct Problem {
  at::Tensor query;                 ///< [B, H, T, d]
  std::vector<at::Tensor> sources;  ///< each [B, heads_i, S, d]
  HeadPairs pairs;                  ///< [Hkv][pairs]
  Options options;
  int64_t first_query = 0;  ///< which of a longer problem's queries is ours first: dropout's places count from there

  int64_t batch() const { return query.size(0); }
  int64_t heads() const { return query.size(1); }
  int64_t queries() const { return query.size(2); }  ///< T
  int64_t head_width() const { return query.size(3); }
  int64_t kv_heads() const { return static_cast<int64_t>(pairs.size()); }
  int64_t group_size() const { return heads() / kv_heads(); }  ///< query heads of one KV head
  /// S; T when there are no sources (then no head reads any).
  int64_t keys() const { return sources.empty() ? queries() : sources[0].size(2); }
  double scale() const;
  at::ScalarType accumulate_dtype() const;  ///< query's
};

/// What the backward pass needs besides the problem.
struct BackwardInput {
  at::Tensor grad_output;  ///< [B, H, T, d]
  at::Tensor output;       ///< [B, H, T, d], of the forward pass
  at::Tensor logsumexp;    ///< [B, H, T], of the forward pass
};

/// The flat form of the schema: four numbers a pair, and where each KV head's pairs begin and end.
struct FlatRoutes {
  std::vector<int64_t> routes;   ///< [pairs * 4]: key tensor, key head, value tensor, value head
  std::vector<int64_t> offsets;  ///< [Hkv + 1], in pairs
};
FlatRoutes flatten_pairs(const HeadPairs& pairs);
/// Throws c10::ValueError for lists that are not of this form.
HeadPairs unflatten_pairs(at::IntArrayRef routes, at::IntArrayRef offsets);

/// Throws c10::ValueError, one sentence that names the argument, its value and what would be right.
void check_problem(const Problem& problem);
void check_backward_input(const Problem& problem, const BackwardInput& input);

/// The problem with a query and sources whose last dimension is dense, as kernels read them: copies of those that are not.
Problem with_dense_rows(Problem problem);
at::Tensor with_dense_rows(const at::Tensor& tensor);

/// A new tensor [sizes[0], heads, length, d] that lies in memory as [B, length, heads, d]: the
/// layout of outputs and gradients.
at::Tensor empty_heads_inner(c10::SymIntArrayRef sizes, const at::TensorOptions& options);
at::Tensor empty_heads_inner(at::IntArrayRef sizes, const at::TensorOptions& options);
/// The tensor itself or a copy in that layout.
at::Tensor with_heads_inner(const at::Tensor& tensor);

}  // namespace skipattn::attention
