// A tile through torch's fused CPU attention. That kernel wants as many key heads as query heads;
// the query heads of one KV head get it as a view with stride 0 over them, which a single 4-d view
// can only express when the KV heads or the batch elements (whichever are more) take the place of
// the batch: one call for each of the others.
#include "skipattn/attention/cpu/tile.h"

namespace skipattn::attention::cpu {
namespace {

/// torch's matrix products want rows that do not overlap; rows that do (an expanded source) are the
/// one thing copied.
at::Tensor with_plain_rows(const at::Tensor& tensor) {
  const bool rows_overlap = tensor.size(2) > 1 && tensor.stride(2) < tensor.size(3);
  const bool scattered = tensor.size(3) > 1 && tensor.stride(3) != 1;
  return rows_overlap || scattered ? tensor.contiguous() : tensor;
}

/// Splits tensors of a tile into those of the calls.
class Calls {
 public:
  explicit Calls(const Tile& tile) : batch_(tile.key.size(0)), kv_heads_(tile.key.size(1)), group_(tile.group) {}

  int64_t count() const { return group_ == 1 ? 1 : by_head() ? kv_heads_ : batch_; }

  /// Of a tensor over query heads, [b, n * G, …].
  at::Tensor queries(const at::Tensor& tensor, int64_t call) const {
    if (group_ == 1) return tensor;
    if (by_head()) return tensor.narrow(1, call * group_, group_);
    return tensor.select(0, call).unflatten(0, {kv_heads_, group_});
  }

  /// Of a tensor over KV heads, [b, n, keys, d], seen by every query head of its group.
  at::Tensor keys(const at::Tensor& tensor, int64_t call) const {
    if (group_ == 1) return tensor;
    const at::Tensor part = own_keys(tensor, call);
    return part.expand({part.size(0), group_, part.size(2), part.size(3)});
  }

  /// The same without the expansion: [b or n, 1, keys, d].
  at::Tensor own_keys(const at::Tensor& tensor, int64_t call) const {
    return by_head() ? tensor.narrow(1, call, 1) : tensor.select(0, call).unsqueeze(1);
  }

 private:
  bool by_head() const { return kv_heads_ <= batch_; }

  int64_t batch_;
  int64_t kv_heads_;
  int64_t group_;
};

std::optional<at::Tensor> bias_of(const Tile& tile) {
  return tile.bias.defined() ? std::optional<at::Tensor>(tile.bias) : std::nullopt;
}

}  // namespace

TileResult flash_forward(const Tile& tile) {
  const Calls calls(tile);
  const at::Tensor query = with_plain_rows(tile.query), key = with_plain_rows(tile.key),
                   value = with_plain_rows(tile.value);
  const bool causal = tile.mask == Mask::kCausal;
  TileResult result;
  for (int64_t call = 0; call < calls.count(); ++call) {
    auto [output, logsumexp] = at::_scaled_dot_product_flash_attention_for_cpu(
        calls.queries(query, call), calls.keys(key, call), calls.keys(value, call), 0.0, causal, bias_of(tile),
        tile.scale);
    if (calls.count() == 1 && tile.group == 1) return {output, logsumexp};
    if (call == 0) {
      result.output = at::empty(query.sizes(), query.options());
      result.logsumexp = at::empty(query.sizes().slice(0, 3), logsumexp.options());
    }
    calls.queries(result.output, call).copy_(output);
    calls.queries(result.logsumexp, call).copy_(logsumexp);
  }
  return result;
}

TileGradients flash_backward(const Tile& tile, const TileBackwardInput& input) {
  const Calls calls(tile);
  const at::Tensor query = with_plain_rows(tile.query), key = with_plain_rows(tile.key),
                   value = with_plain_rows(tile.value), output = with_plain_rows(input.output);
  const bool causal = tile.mask == Mask::kCausal;
  const auto sums = query.options().dtype(input.logsumexp.scalar_type());
  TileGradients result;
  for (int64_t call = 0; call < calls.count(); ++call) {
    auto [grad_query, grad_key, grad_value] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        calls.queries(input.grad_output, call), calls.queries(query, call), calls.keys(key, call),
        calls.keys(value, call), calls.queries(output, call), calls.queries(input.logsumexp, call), 0.0, causal,
        bias_of(tile), tile.scale);
    if (tile.group == 1) return {grad_query, grad_key, grad_value};
    if (call == 0) {
      result.query = at::empty(query.sizes(), query.options());
      result.key = at::empty(key.sizes(), sums);
      result.value = at::empty(value.sizes(), sums);
    }
    calls.queries(result.query, call).copy_(grad_query);
    calls.own_keys(result.key, call).copy_(grad_key.sum(1, /*keepdim=*/true, sums.dtype().toScalarType()));
    calls.own_keys(result.value, call).copy_(grad_value.sum(1, /*keepdim=*/true, sums.dtype().toScalarType()));
  }
  return result;
}

}  // namespace skipattn::attention::cpu
