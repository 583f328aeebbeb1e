// CUTLASS's memory-efficient attention as the framework has it. Its tensors are [B, T, heads, d] with as many key as query
// heads; logsumexp is padded to multiples of 32 queries; masks of any form are a bias of the query's dtype.
#include <ATen/ATen.h>

#include <limits>

#include "skipattn/attention/cuda/fused_call.h"

namespace skipattn::attention::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kSumsMultiple = 32;                       // queries
constexpr int64_t kBiasMultiple = 16;                       // elements of a bias's row in memory
constexpr int64_t kLargestBias = int64_t{1} << 28;          // elements, B * T * S
enum MaskType : int64_t { kNoMask = 0, kBottomRight = 2 };  // the framework's CustomMaskType

bool needs_bias(const FusedCall& call) {
  return call.pattern->kind != KeyPattern::Kind::kSequences || call.pattern->window > 0;
}

/// Which keys each query sees, bool [B, 1, T, S].
at::Tensor visible(const FusedCall& call) {
  const auto options = call.pattern->first_key.options();
  const at::Tensor key = at::arange(call.keys(), options).view({1, 1, 1, -1});
  const at::Tensor seen = key >= call.pattern->first_key.unsqueeze(1).unsqueeze(-1);
  if (!call.causal) return seen;
  return seen.logical_and(key <= at::arange(call.keys() - call.queries(), call.keys(), options).view({1, 1, -1, 1}));
}

/// 0 where a query sees a key, -inf elsewhere: [B, heads, T, S], rows at multiples of kBiasMultiple.
at::Tensor make_bias(const FusedCall& call, const at::Tensor& seen) {
  const int64_t row = (call.keys() + kBiasMultiple - 1) / kBiasMultiple * kBiasMultiple;
  const at::Tensor bias =
      at::zeros({call.batch(), 1, call.queries(), row}, call.query.options()).narrow(3, 0, call.keys());
  bias.masked_fill_(seen.logical_not(), -kInfinity);
  return bias.expand({call.batch(), call.heads(), call.queries(), call.keys()});
}

/// The arguments that both passes share.
struct Arguments {
  at::Tensor query, key, value;
  std::optional<at::Tensor> bias;
  at::Tensor blind;  ///< bool [B, 1, T], queries that see nothing; undefined: there are none
  int64_t mask = kNoMask;

  explicit Arguments(const FusedCall& call)
      : query(call.query.transpose(1, 2)),
        key(for_every_query(call, call.key)),
        value(for_every_query(call, call.value)) {
    if (needs_bias(call)) {
      const at::Tensor seen = visible(call);
      bias = make_bias(call, seen);
      blind = seen.any(-1).logical_not();
    } else if (call.causal) {
      mask = kBottomRight;
      if (call.has_blind_queries())
        blind = (at::arange(call.queries(), call.query.options().dtype(at::kLong)) < call.queries() - call.keys())
                    .view({1, 1, -1});
    }
  }

  /// [B, hkv, S, d] -> [B, S, h, d]: with several KV heads in groups a copy.
  static at::Tensor for_every_query(const FusedCall& call, const at::Tensor& tensor) {
    const at::Tensor rows = tensor.transpose(1, 2);
    const int64_t group = call.heads() / call.kv_heads();
    if (group == 1) return rows;
    return rows.unsqueeze(3).expand({-1, -1, -1, group, -1}).flatten(2, 3);
  }
};

class EfficientAttention final : public FusedAttention {
 public:
  const char* name() const override { return "efficient"; }

  bool supports(const FusedCall& call) const override {
    const at::ScalarType dtype = call.query.scalar_type();
    if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
    if (needs_bias(call) && call.batch() * call.queries() * call.keys() > kLargestBias) return false;
    return has_aligned_rows(call);
  }

  Result forward(const FusedCall& call) const override {
    const Arguments a(call);
    const auto result =
        at::_efficient_attention_forward(a.query, a.key, a.value, a.bias, {}, {}, {}, {},
                                         /*dropout_p=*/0.0, a.mask, /*compute_log_sumexp=*/true, call.scale);
    at::Tensor output = std::get<0>(result).transpose(1, 2);
    at::Tensor sums = std::get<1>(result).narrow(2, 0, call.queries()).contiguous();
    if (a.blind.defined()) {
      output = output.masked_fill(a.blind.unsqueeze(-1), 0.0);
      sums = sums.masked_fill(a.blind, -kInfinity);
    }
    return {output, sums};
  }

  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override {
    const Arguments a(call);
    at::Tensor sums = input.logsumexp;
    if (a.blind.defined()) sums = sums.masked_fill(a.blind, kInfinity);  // then exp(score - sum) is 0
    const int64_t padding = (kSumsMultiple - call.queries() % kSumsMultiple) % kSumsMultiple;
    sums = at::constant_pad_nd(sums, {0, padding}, kInfinity).contiguous();
    const at::Tensor unused = at::empty({}, call.query.options().dtype(at::kLong));
    const auto gradients = at::_efficient_attention_backward(
        input.grad_output.transpose(1, 2), a.query, a.key, a.value, a.bias, input.output.transpose(1, 2).contiguous(),
        {}, {}, call.queries(), call.keys(), sums, /*dropout_p=*/0.0, unused, unused, a.mask,
        /*bias_requires_grad=*/false, call.scale);
    return {std::get<0>(gradients).transpose(1, 2), sum_groups(call, std::get<1>(gradients)),
            sum_groups(call, std::get<2>(gradients))};
  }

 private:
  /// [B, S, h, d] -> [B, hkv, S, d]
  static at::Tensor sum_groups(const FusedCall& call, const at::Tensor& gradient) {
    const int64_t group = call.heads() / call.kv_heads();
    const at::Tensor sum = group == 1 ? gradient : gradient.unflatten(2, {call.kv_heads(), group}).sum(3);
    return sum.transpose(1, 2);
  }
};

}  // namespace

const FusedAttention& efficient_attention() {
  static const EfficientAttention instance;
  return instance;
}

}  // namespace skipattn::attention::cuda
