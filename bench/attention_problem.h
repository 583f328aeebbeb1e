// What bench_attention measures: one attention of a layer, with the tensors lying as the model holds them for our
// operator and as contiguous heads for torch's fused one. The same numbers in both.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::bench {

struct AttentionShape {
  int64_t batch = 1;
  int64_t length = 1024;
  int64_t heads = 12;
  int64_t head_width = 64;
  int64_t borrowed = 0;  ///< heads, the last ones, that read another layer's keys and values, 0..heads
  bool causal = true;
  at::ScalarType dtype = at::kBFloat16;

  /// 4 · B · H · T² · d, half of it when causal; backward takes 2.5 times as much.
  double forward_flops() const;
};

/// Output and gradients, [B, H, T, d] each: o, dq, dk, dv. Those of borrowed heads are their lender's.
using AttentionResults = std::array<at::Tensor, 4>;
inline constexpr std::array<const char*, 4> kResultNames = {"o", "dq", "dk", "dv"};

class AttentionProblem {
 public:
  /// Normal random numbers, the same for a shape each time.
  explicit AttentionProblem(const AttentionShape& shape);

  const AttentionShape& shape() const { return shape_; }

  // One forward pass, or one forward and one backward pass; what they give is thrown away.
  void ours_forward() const;
  void ours_both() const;
  void torch_forward() const;
  void torch_both() const;

  AttentionResults ours() const;
  AttentionResults torch() const;
  /// The definition in fp64 on the same numbers: T × T scores are held, so for short sequences.
  AttentionResults exact() const;

 private:
  attention::Result run_ours() const;
  attention::Gradients run_ours_backward(const attention::Result& result) const;
  AttentionResults per_head(const at::Tensor& output, const at::Tensor& query,
                            const std::vector<at::Tensor>& sources) const;

  AttentionShape shape_;
  // Views of fused projections [B, T, rows * d]: this layer's of live heads only, and the lender's.
  at::Tensor query_;                 // [B, H, T, d]
  std::vector<at::Tensor> sources_;  // own keys, own values, the lender's keys, its values
  attention::HeadPairs pairs_;
  at::Tensor gradient_;                         // [B, H, T, d], laid out as [B, T, H, d]
  at::Tensor q_, k_, v_, contiguous_gradient_;  // contiguous [B, H, T, d], for torch
};

/// ‖a − b‖ / ‖b‖ in fp64.
double relative_error(const at::Tensor& a, const at::Tensor& b);

}  // namespace skipattn::bench
