// Costs of a model under a plan: parameters, forward FLOPs, bytes of KV cache. Counted, not
// measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipattn/routing/plan.h"

namespace skipattn::routing {

/// The sizes of a decoder that its costs depend on.
struct Dimensions {
  int64_t layers = 0;      ///< L
  int64_t heads = 0;       ///< H, query heads
  int64_t kv_heads = 0;    ///< Hkv
  int64_t head_width = 0;  ///< d
  int64_t width = 0;       ///< D, of the residual stream
  int64_t mlp_width = 0;   ///< hidden width of the MLP
  bool mlp_gated = false;  ///< SwiGLU: three matrices instead of two
  int64_t vocabulary = 0;
  int64_t positions = 0;        ///< rows of the learned position table; 0 with rotary embedding
  bool tied_head = true;        ///< the vocabulary head is the token embedding
  bool attention_bias = true;   ///< biases on Q, K, V
  bool output_bias = true;      ///< bias on the attention output projection
  bool mlp_bias = true;         ///< biases in the MLP
  bool norm_bias = true;        ///< LayerNorm (scale and bias) or RMSNorm (scale only)
  bool query_key_norm = false;  ///< RMSNorm over each head of Q and K: d numbers each and layer
  std::vector<int64_t> windows =
      {};  ///< [L], the model's own sliding windows, 0: none; empty: none. The plan may narrow them
};

struct Costs {
  int64_t parameters = 0;  ///< live ones only
  int64_t parameters_baseline = 0;
  double kv_cache_bytes_per_token = 0;  ///< (live K heads + live V heads) * d * bytes of the dtype
  double kv_cache_bytes_per_token_baseline = 0;
  double kv_cache_saved = 0;           ///< fraction of the baseline's bytes
  double flops_per_token_forward = 0;  ///< mean over a context of `context` tokens, see below
  double flops_per_token_forward_baseline = 0;
  double flops_per_token_training = 0;  ///< matrix products three times, attention 3.5 times; no recomputation
  double flops_per_token_training_baseline = 0;
  // What flops_per_token_forward is the sum of.
  double matrix_flops_per_token = 0;     ///< matrix products of the layers
  double attention_flops_per_token = 0;  ///< mean over the context
  double head_flops_per_token = 0;       ///< the vocabulary head
};

/// Bytes that one cached number takes: "fp32" 4, "bf16" and "fp16" 2, "int8" 1 + the fp32 scale of
/// its head vector / d. Throws InputError for any other name.
double cache_bytes_per_element(const std::string& dtype, int64_t head_width);

/// FLOPs: 2 * (weights of every matrix product really done, the vocabulary head included)
/// + 4 * d * (keys attended; causal, window) for every query head and every pair it attends over,
/// averaged over the positions 0..context-1. The query and output projections of heads without
/// attention are counted: they are done. Throws InputError when the dimensions are not the plan's
/// or are not positive.
Costs count_costs(const Plan& plan, const Dimensions& dimensions, int64_t context, const std::string& cache_dtype);

}  // namespace skipattn::routing
