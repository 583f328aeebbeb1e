// FlashAttention-2 as the framework has it. Its tensors are [B, T, heads, d], or [all tokens, heads, d] with the documents'
// starts; causal means the last query sees the last key, as ours does; logsumexp is +inf where a query sees nothing.
#include <ATen/ATen.h>

#include <limits>

#include "skipattn/attention/cuda/fused_call.h"

namespace skipattn::attention::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The arguments that both passes share.
struct Arguments {
  bool by_document = false;
  at::Tensor query, key, value;
  at::Tensor starts;  ///< undefined without documents
  int64_t longest_query = 0, longest_key = 0;
  std::optional<int64_t> window_left, window_right;

  explicit Arguments(const FusedCall& call)
      : by_document(call.pattern->kind == KeyPattern::Kind::kDocuments),
        query(pack(call.query)),
        key(pack(call.key)),
        value(pack(call.value)),
        longest_query(by_document ? call.pattern->longest : call.queries()),
        longest_key(by_document ? call.pattern->longest : call.keys()) {
    if (by_document) starts = call.pattern->starts;
    if (call.pattern->window > 0) {
      window_left = call.pattern->window - 1;
      window_right = 0;
    }
  }

  /// [B, heads, T, d] -> flash's form: a view, but with documents in batches that are not one after the other.
  at::Tensor pack(const at::Tensor& tensor) const {
    const at::Tensor rows = tensor.transpose(1, 2);
    return by_document ? rows.flatten(0, 1) : rows;
  }
  /// Back to [B, heads, T, d].
  at::Tensor unpack(const at::Tensor& packed, int64_t batch) const {
    return (by_document ? packed.unflatten(0, {batch, -1}) : packed).transpose(1, 2);
  }
  /// [B, heads, T] -> [heads, all tokens] with documents.
  at::Tensor pack_sums(const at::Tensor& sums) const {
    return by_document ? sums.transpose(0, 1).flatten(1).contiguous() : sums.contiguous();
  }
  at::Tensor unpack_sums(const at::Tensor& packed, int64_t batch) const {
    return by_document ? packed.unflatten(1, {batch, -1}).transpose(0, 1).contiguous() : packed;
  }
  std::optional<at::Tensor> optional_starts() const {
    return by_document ? std::optional<at::Tensor>(starts) : std::nullopt;
  }
};

class FlashAttention final : public FusedAttention {
 public:
  const char* name() const override { return "flash"; }

  bool supports(const FusedCall& call) const override {
    const bool half = call.query.scalar_type() == at::kBFloat16 && has_half_kernels(call.query.device());
    return half && call.head_width() <= 256 && call.pattern->kind != KeyPattern::Kind::kAny && has_aligned_rows(call);
  }

  Result forward(const FusedCall& call) const override {
    const Arguments a(call);
    const auto result =
        at::_flash_attention_forward(a.query, a.key, a.value, a.optional_starts(), a.optional_starts(), a.longest_query,
                                     a.longest_key, /*dropout_p=*/0.0, call.causal,
                                     /*return_debug_mask=*/false, call.scale, a.window_left, a.window_right);
    at::Tensor sums = a.unpack_sums(std::get<1>(result), call.batch());
    if (call.has_blind_queries()) sums = sums.masked_fill(sums == kInfinity, -kInfinity);
    return {a.unpack(std::get<0>(result), call.batch()), sums};
  }

  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override {
    const Arguments a(call);
    at::Tensor sums = a.pack_sums(input.logsumexp);
    if (call.has_blind_queries()) sums = sums.masked_fill(sums == -kInfinity, kInfinity);
    // The state of a random generator that only dropout would read.
    const auto state = a.query.options().dtype(at::kUInt64);
    const auto [query, key, value] = at::_flash_attention_backward(
        a.pack(input.grad_output), a.query, a.key, a.value, a.pack(input.output), sums, a.starts, a.starts,
        a.longest_query, a.longest_key, /*dropout_p=*/0.0, call.causal, at::empty({2}, state), at::empty({}, state),
        call.scale, a.window_left, a.window_right);
    return {a.unpack(query, call.batch()), a.unpack(key, call.batch()), a.unpack(value, call.batch())};
  }
};

}  // namespace

const FusedAttention& flash_attention() {
  static const FlashAttention instance;
  return instance;
}

}  // namespace skipattn::attention::cuda
