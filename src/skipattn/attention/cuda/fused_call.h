// What an implementation of dense attention is to this folder, and the framework's three. Tensors have the sizes named here
// and any strides, so that views of fused projections go in as they are.
#pragma once

#include <vector>

#include "skipattn/attention/cuda/key_pattern.h"
#include "skipattn/attention/problem.h"

namespace skipattn::attention::cuda {

/// Dense attention of query heads in equal groups over KV heads. Query i stands at position S - T + i. T, S > 0.
struct FusedCall {
  at::Tensor query;  ///< [B, h, T, d]
  at::Tensor key;    ///< [B, hkv, S, d]; query head j reads KV head j / (h / hkv)
  at::Tensor value;  ///< [B, hkv, S, d]
  bool causal = true;
  double scale = 1.0;
  const KeyPattern* pattern = nullptr;  ///< never null

  int64_t batch() const { return query.size(0); }
  int64_t heads() const { return query.size(1); }
  int64_t kv_heads() const { return key.size(1); }
  int64_t queries() const { return query.size(2); }
  int64_t keys() const { return key.size(2); }
  int64_t head_width() const { return query.size(3); }
  /// Queries before all keys, which see nothing.
  bool has_blind_queries() const { return causal && queries() > keys(); }
};

struct FusedGradients {
  at::Tensor query;  ///< [B, h, T, d]
  at::Tensor key;    ///< [B, hkv, S, d], summed over the query heads of each
  at::Tensor value;  ///< [B, hkv, S, d]
};

/// logsumexp is [B, h, T], natural, dense, fp32, and -inf where a query sees nothing; output and gradients are 0 there.
class FusedAttention {
 public:
  virtual ~FusedAttention() = default;
  virtual const char* name() const = 0;
  virtual bool supports(const FusedCall& call) const = 0;
  virtual Result forward(const FusedCall& call) const = 0;
  /// With the output and logsumexp over more keys than the call's own (joint sources), its part of the whole gradient.
  virtual FusedGradients backward(const FusedCall& call, const BackwardInput& input) const = 0;
};

/// FlashAttention-2: bf16, every pattern but kAny.
const FusedAttention& flash_attention();
/// cuDNN's: bf16, whole sequences, T = S if causal.
const FusedAttention& cudnn_attention();
/// CUTLASS's memory-efficient attention: bf16 and fp32; windows, documents and kAny through a [B, T, S] bias.
const FusedAttention& efficient_attention();

/// In the order in which they are taken where nothing is measured.
std::vector<const FusedAttention*> framework_implementations();

/// Whether the framework has fused attention in bf16 for the device (Ampere or newer) and nobody has turned it off.
bool has_half_kernels(at::Device device);

/// Rows of all three tensors begin at multiples of 16 bytes and are dense, which all three implementations want.
bool has_aligned_rows(const FusedCall& call);

}  // namespace skipattn::attention::cuda
