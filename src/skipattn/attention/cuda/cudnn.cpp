// cuDNN's attention as the framework has it. Its tensors are [B, heads, T, d] of any strides; causal means the first query
// sees the first key, so it serves T = S alone.
#include <ATen/ATen.h>

#include <atomic>

#include "skipattn/attention/cuda/fused_call.h"

namespace skipattn::attention::cuda {
namespace {

constexpr int64_t kLargestGrid = 65535;  // batch elements, heads

/// The framework keys its backward graphs by the strides of query, key and value alone: output and its gradient must always
/// have the same ones.
at::Tensor with_usual_strides(const at::Tensor& tensor) {
  return with_heads_inner(tensor);
}

bool repeats_heads(const at::Tensor& tensor) {
  return tensor.size(1) > 1 && tensor.stride(1) == 0;
}

class CudnnAttention final : public FusedAttention {
 public:
  const char* name() const override { return "cudnn"; }

  bool supports(const FusedCall& call) const override {
    const bool half = call.query.scalar_type() == at::kBFloat16 && has_half_kernels(call.query.device());
    const bool sequences = call.pattern->kind == KeyPattern::Kind::kSequences && call.pattern->window == 0;
    const bool square = !call.causal || call.queries() == call.keys();
    const bool fits =
        call.head_width() <= 128 && call.keys() > 1 && call.batch() <= kLargestGrid && call.heads() <= kLargestGrid;
    return half && sequences && square && fits && !repeats_heads(call.key) && !repeats_heads(call.value) &&
           !at::globalContext().deterministicAlgorithms() && at::globalContext().userEnabledCuDNNSDP() &&
           has_aligned_rows(call);
  }

  Result forward(const FusedCall& call) const override {
    const auto result =
        at::_scaled_dot_product_cudnn_attention(call.query, call.key, call.value, /*attn_bias=*/std::nullopt,
                                                /*compute_log_sumexp=*/true, /*dropout_p=*/0.0, call.causal,
                                                /*return_debug_mask=*/false, call.scale);
    const at::Tensor& sums = std::get<1>(result);
    sums_dimensions_ = sums.dim();
    return {std::get<0>(result), sums.reshape({call.batch(), call.heads(), call.queries()})};
  }

  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override {
    at::Tensor sums = input.logsumexp.contiguous();
    if (sums_dimensions_ == 4) sums = sums.unsqueeze(-1);
    const at::Tensor unused = at::empty({}, call.query.options().dtype(at::kLong));
    const auto [query, key, value] = at::_scaled_dot_product_cudnn_attention_backward(
        with_usual_strides(input.grad_output), call.query, call.key, call.value, with_usual_strides(input.output), sums,
        unused, unused, /*attn_bias=*/{}, /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, call.queries(), call.keys(),
        /*dropout_p=*/0.0, call.causal, call.scale);
    return {query, key, value};
  }

 private:
  /// [B, heads, T, 1] or [B, heads, T]: it has changed with the framework's versions; what forward gives, backward takes.
  mutable std::atomic<int64_t> sums_dimensions_ = 4;
};

}  // namespace

const FusedAttention& cudnn_attention() {
  static const CudnnAttention instance;
  return instance;
}

}  // namespace skipattn::attention::cuda
