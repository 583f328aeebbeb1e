// The operator: attention in which every KV head reads its own choice of key and value tensors.
//
// Registered with the torch dispatcher as skipattn::routed_attention (and …_backward), with
// autograd and meta kernels:
//   routed_attention(Tensor query, Tensor[] sources, int[] routes, int[] route_offsets, *, bool
//   causal=True,
//                    float? scale=None, Tensor? first_key=None, float dropout_p=0.0, int
//                    dropout_seed=0)
//     -> (Tensor output, Tensor logsumexp)
// docs/attention.md has the whole definition.
//
//   const HeadPairs pairs = {{{0, 0, 1, 0}}, {{2, 1, 3, 1}}};  // KV head 0 reads its own layer,
//   head 1 skips const Result result = routed_attention(query, {keys, values, skipped_keys,
//   skipped_values}, pairs, {});
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

namespace skipattn::attention {

/// One (key, value) pair that a KV head attends over, as indices into the list of source tensors.
struct Pair {
  int64_t key_tensor = 0;  ///< index into `sources`
  int64_t key_head = 0;    ///< head of that tensor
  int64_t value_tensor = 0;
  int64_t value_head = 0;
};

/// Per KV head, the pairs it attends over under one softmax; an empty list gives zero output for
/// that head.
using HeadPairs = std::vector<std::vector<Pair>>;  // [Hkv][pairs]

struct Options {
  bool causal = true;                   ///< query i (at position S - T + i) sees keys 0 … S - T + i
  std::optional<double> scale;          ///< of the scores, above 0; empty: 1 / sqrt(d)
  std::optional<at::Tensor> first_key;  ///< int32 [B, T]: the earliest key each query may see (document start,
                                        ///< sliding window, left padding); empty: 0
  double dropout_p = 0.0;               ///< probability of dropping an attention weight, [0, 1)
  int64_t dropout_seed = 0;             ///< the weights dropped depend on this seed and their place alone
};

struct Result {
  at::Tensor output;     ///< [B, H, T, d], query's dtype
  at::Tensor logsumexp;  ///< [B, H, T], fp32 (fp64 for fp64 inputs); -inf where a query sees no key
                         ///< (its output is 0)
};

/// query [B, H, T, d]; sources: tensors [B, heads_i, S, d], any strides with unit stride in d,
/// nothing is copied or concatenated; H is a multiple of Hkv = pairs.size() and query head h
/// belongs to KV head h / (H / Hkv). dtype fp32, bf16 or fp64, the same everywhere. Differentiable
/// in query and sources. The output is laid out in memory as [B, T, H, d], so that
/// output.transpose(1, 2).flatten(2) is a view; gradients of the query and of the sources are laid
/// out in the same way. No gradient flows through logsumexp. Throws c10::Error whose message names
/// the argument, its value and what would be right.
Result routed_attention(const at::Tensor& query, const std::vector<at::Tensor>& sources, const HeadPairs& pairs,
                        const Options& options);

struct Gradients {
  at::Tensor query;                 ///< [B, H, T, d]
  std::vector<at::Tensor> sources;  ///< one per source, of its shape; heads that no pair reads have zeros
};

/// The gradients of sum(output * grad_output), for blocks whose backward is written by hand
/// (autograd calls the same operator). `result` is what routed_attention() returned for the same
/// arguments; grad_output is [B, H, T, d].
Gradients routed_attention_backward(const at::Tensor& grad_output, const at::Tensor& query,
                                    const std::vector<at::Tensor>& sources, const HeadPairs& pairs,
                                    const Options& options, const Result& result);

/// The definition: the same function in plain torch operations (differentiable by torch's own
/// autograd), with the whole [T, S] score matrix in memory. Slow; tests compare everything else
/// with it.
Result routed_attention_reference(const at::Tensor& query, const std::vector<at::Tensor>& sources,
                                  const HeadPairs& pairs, const Options& options);

}  // namespace skipattn::attention
