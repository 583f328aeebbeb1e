// The framework's fused operators as plain operations on the CPU, by what is known of them: shapes, layouts, alignment of the
// causal mask, what queries that see nothing get, and what each insists on. So all that prepares their arguments and reads
// their results is tested where there is no device. Registered for the CPU key, which the framework leaves free; boxed,
// because versions differ in arguments that we do not pass.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <limits>

namespace {

using torch::jit::Stack;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Dense attention in fp32, all tensors [heads, T, d] of one batch element; key heads repeated as needed.
struct Dense {
  at::Tensor query, key, value, seen;  // seen: bool [heads or 1, T, S]
  double scale = 1;

  int64_t group() const { return query.size(0) / key.size(0); }
  at::Tensor wide(const at::Tensor& t) const { return t.to(at::kFloat).repeat_interleave(group(), 0); }
  at::Tensor narrow(const at::Tensor& t) const { return t.unflatten(0, {key.size(0), group()}).sum(1); }
  at::Tensor scores() const {
    return (at::matmul(query.to(at::kFloat), wide(key).transpose(1, 2)) * scale)
        .masked_fill(seen.logical_not(), -kInfinity);
  }
  std::pair<at::Tensor, at::Tensor> forward() const {
    const at::Tensor s = scores(), sums = at::logsumexp(s, -1);
    return {at::matmul(at::softmax(s, -1).nan_to_num(0.0), wide(value)), sums};
  }
  /// exp(score - sum), whatever the sum is: the operators do not look for -inf.
  std::array<at::Tensor, 3> backward(const at::Tensor& grad, const at::Tensor& output, const at::Tensor& sums) const {
    const at::Tensor p = (scores() - sums.unsqueeze(-1)).exp(), go = grad.to(at::kFloat);
    const at::Tensor row_sums = (go * output.to(at::kFloat)).sum(-1, true);
    const at::Tensor ds = p * (at::matmul(go, wide(value).transpose(1, 2)) - row_sums) * scale;
    return {at::matmul(ds, wide(key)), narrow(at::matmul(ds.transpose(1, 2), query.to(at::kFloat))),
            narrow(at::matmul(p.transpose(1, 2), go))};
  }
};

/// Causal masks with the last query at the last key, or the first at the first; a window of keys to the left.
at::Tensor mask(int64_t queries, int64_t keys, bool causal, bool bottom_right, int64_t left = -1) {
  const at::Tensor key = at::arange(keys).view({1, 1, -1});
  const at::Tensor query = at::arange(queries).view({1, -1, 1}) + (bottom_right ? keys - queries : 0);
  at::Tensor seen = at::ones({1, queries, keys}, at::kBool);
  if (causal) seen = seen.logical_and(key <= query);
  if (left >= 0) seen = seen.logical_and(key >= query - left);
  return seen;
}

void check_rows(const at::Tensor& t, at::ScalarType dtype) {
  TORCH_CHECK(t.scalar_type() == dtype, "dtype ", t.scalar_type());
  TORCH_CHECK(t.stride(-1) == 1, "rows are not dense");
  for (int64_t dim = 0; dim + 1 < t.dim(); ++dim)
    TORCH_CHECK(t.size(dim) <= 1 || t.stride(dim) * t.element_size() % 16 == 0, "rows are not aligned");
}

// ------------------------------------------------------------------------------------------------------------- flash

/// One sequence of the batch, or one document, of tensors [B, T, heads, d] or [tokens, heads, d].
struct FlashSlices {
  at::Tensor starts;  // undefined: by batch element
  int64_t count = 0;

  FlashSlices(const at::Tensor& query, const c10::IValue& cumulative) {
    if (cumulative.isTensor() && cumulative.toTensor().defined()) starts = cumulative.toTensor();
    if (starts.defined()) {
      TORCH_CHECK(query.dim() == 3 && starts.scalar_type() == at::kInt && starts.is_contiguous(), "cum_seq");
      TORCH_CHECK(starts[0].item<int>() == 0 && starts[-1].item<int>() == query.size(0), "cum_seq");
    }
    TORCH_CHECK(starts.defined() || query.dim() == 4, "query must be [B, T, heads, d]");
    count = starts.defined() ? starts.numel() - 1 : query.size(0);
  }
  at::Tensor at(const at::Tensor& t, int64_t i) const {  // [heads, T, d]
    if (!starts.defined()) return t.select(0, i).transpose(0, 1);
    const int64_t begin = starts[i].item<int>();
    return t.narrow(0, begin, starts[i + 1].item<int>() - begin).transpose(0, 1);
  }
  at::Tensor sums_at(const at::Tensor& sums, int64_t i) const {  // [heads, T]
    if (!starts.defined()) return sums.select(0, i);
    const int64_t begin = starts[i].item<int>();
    return sums.narrow(1, begin, starts[i + 1].item<int>() - begin);
  }
};

struct FlashMask {
  bool causal = false;
  double scale = 1;
  int64_t longest = 0;
  int64_t left = -1;

  Dense dense(const FlashSlices& slices, const Stack& in, size_t query, int64_t i) const {
    const auto part = [&](size_t at) { return slices.at(in[at].toTensor(), i); };
    Dense d{part(query), part(query + 1), part(query + 2), {}, scale};
    TORCH_CHECK(d.query.size(1) <= longest, "max_q");
    d.seen = mask(d.query.size(1), d.key.size(1), causal, /*bottom_right=*/true, left);
    return d;
  }
};

int64_t window_of(const c10::IValue& left, const c10::IValue& right) {
  TORCH_CHECK(left.isNone() == right.isNone() && (right.isNone() || right.toInt() == 0), "window");
  return left.isNone() ? -1 : left.toInt();
}

void check_flash(const Stack& in, size_t query) {
  for (size_t i = query; i < query + 3; ++i) check_rows(in[i].toTensor(), at::kBFloat16);
  TORCH_CHECK(in[query].toTensor().size(-1) <= 256, "head width");
}

void flash_forward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_flash(in, 0);
  const at::Tensor query = in[0].toTensor();
  const FlashSlices slices(query, in[3]);
  const FlashMask flash{in[8].toBool(), in[10].toDouble(), in[5].toInt(), window_of(in[11], in[12])};
  const at::Tensor output = at::empty_like(query);
  const auto sums_sizes = slices.starts.defined() ? std::vector<int64_t>{query.size(1), query.size(0)}
                                                  : std::vector<int64_t>{query.size(0), query.size(2), query.size(1)};
  const at::Tensor sums = at::empty(sums_sizes, at::kFloat);
  for (int64_t i = 0; i < slices.count; ++i) {
    const auto [o, s] = flash.dense(slices, in, 0, i).forward();
    slices.at(output, i).copy_(o);
    slices.sums_at(sums, i).copy_(s.masked_fill(s == -kInfinity, kInfinity));
  }
  torch::jit::push(*stack, output, sums, at::Tensor(), at::Tensor(), at::Tensor());
}

void flash_backward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_flash(in, 1);
  const at::Tensor query = in[1].toTensor(), sums = in[5].toTensor();
  const FlashSlices slices(query, in[6]);
  TORCH_CHECK(sums.is_contiguous() && sums.scalar_type() == at::kFloat, "logsumexp");
  TORCH_CHECK(in[12].toTensor().scalar_type() == at::kUInt64 && in[12].toTensor().numel() == 2, "rng_state");
  const FlashMask flash{in[11].toBool(), in[14].toDouble(), in[8].toInt(), window_of(in[15], in[16])};
  std::array<at::Tensor, 3> gradients;
  for (size_t k = 0; k < 3; ++k) gradients[k] = at::empty_like(in[1 + k].toTensor());
  for (int64_t i = 0; i < slices.count; ++i) {
    const auto parts =
        flash.dense(slices, in, 1, i)
            .backward(slices.at(in[0].toTensor(), i), slices.at(in[4].toTensor(), i), slices.sums_at(sums, i));
    for (size_t k = 0; k < 3; ++k) slices.at(gradients[k], i).copy_(parts[k]);
  }
  torch::jit::push(*stack, gradients[0], gradients[1], gradients[2]);
}

// ------------------------------------------------------------------------------------------------------------- cuDNN

Dense cudnn_dense(const Stack& in, size_t query, int64_t b, bool causal, double scale) {
  const auto part = [&](size_t at) { return in[at].toTensor().select(0, b); };
  Dense d{part(query), part(query + 1), part(query + 2), {}, scale};
  d.seen = mask(d.query.size(1), d.key.size(1), causal, /*bottom_right=*/false);
  return d;
}

void check_cudnn(const Stack& in, size_t query) {
  for (size_t i = query; i < query + 3; ++i) {
    check_rows(in[i].toTensor(), at::kBFloat16);
    TORCH_CHECK(in[i].toTensor().size(1) == 1 || in[i].toTensor().stride(1) != 0, "repeated heads");
  }
}

void cudnn_forward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_cudnn(in, 0);
  const at::Tensor query = in[0].toTensor(), output = at::empty_like(query);
  const at::Tensor sums = at::empty({query.size(0), query.size(1), query.size(2), 1}, at::kFloat);
  for (int64_t b = 0; b < query.size(0); ++b) {
    const auto [o, s] = cudnn_dense(in, 0, b, in[6].toBool(), in[8].toDouble()).forward();
    output.select(0, b).copy_(o);
    sums.select(0, b).squeeze(-1).copy_(s);
  }
  torch::jit::push(*stack, output, sums, at::Tensor(), at::Tensor(), query.size(2), in[1].toTensor().size(2),
                   at::Tensor(), at::Tensor(), at::Tensor());
}

void cudnn_backward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_cudnn(in, 1);
  const at::Tensor grad = in[0].toTensor(), output = in[4].toTensor(), sums = in[5].toTensor();
  TORCH_CHECK(sums.dim() == 4 && sums.is_contiguous(), "logsumexp as the forward pass gives it");
  TORCH_CHECK(grad.transpose(1, 2).is_contiguous() && output.transpose(1, 2).is_contiguous(),
              "graphs of other strides");
  std::array<at::Tensor, 3> gradients;
  for (size_t k = 0; k < 3; ++k) gradients[k] = at::empty_like(in[1 + k].toTensor());
  for (int64_t b = 0; b < grad.size(0); ++b) {
    const auto parts = cudnn_dense(in, 1, b, in[14].toBool(), in[15].toDouble())
                           .backward(grad.select(0, b), output.select(0, b), sums.select(0, b).squeeze(-1));
    for (size_t k = 0; k < 3; ++k) gradients[k].select(0, b).copy_(parts[k]);
  }
  torch::jit::push(*stack, gradients[0], gradients[1], gradients[2]);
}

// --------------------------------------------------------------------------------------------------------- efficient

Dense efficient_dense(const Stack& in, size_t query, int64_t b, int64_t mask_type, double scale) {
  const auto part = [&](size_t at) { return in[at].toTensor().select(0, b).transpose(0, 1); };
  Dense d{part(query), part(query + 1), part(query + 2), {}, scale};
  TORCH_CHECK(d.group() == 1, "as many key heads as query heads");
  TORCH_CHECK(mask_type == 0 || mask_type == 2, "mask type");
  d.seen = mask(d.query.size(1), d.key.size(1), mask_type == 2, /*bottom_right=*/true);
  const c10::IValue& optional_bias = in[query + 3];
  if (!optional_bias.isTensor() || !optional_bias.toTensor().defined()) return d;
  const at::Tensor bias = optional_bias.toTensor();
  TORCH_CHECK(bias.scalar_type() == d.query.scalar_type() && bias.stride(3) == 1 && bias.stride(2) % 16 == 0, "bias");
  TORCH_CHECK(
      bias.sizes() == at::IntArrayRef({in[query].toTensor().size(0), d.query.size(0), d.query.size(1), d.key.size(1)}),
      "bias sizes");
  d.seen = d.seen.logical_and(bias.select(0, b) == 0);
  return d;
}

void check_efficient(const Stack& in, size_t query) {
  for (size_t i = query; i < query + 3; ++i) check_rows(in[i].toTensor(), in[query].toTensor().scalar_type());
}

void efficient_forward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_efficient(in, 0);
  const at::Tensor query = in[0].toTensor(), output = at::empty(query.sizes(), query.options());
  const int64_t padded = (query.size(1) + 31) / 32 * 32;
  const at::Tensor sums = at::full({query.size(0), query.size(2), padded}, kInfinity, at::kFloat);
  for (int64_t b = 0; b < query.size(0); ++b) {
    const auto [o, s] = efficient_dense(in, 0, b, in[9].toInt(), in[11].toDouble()).forward();
    output.select(0, b).transpose(0, 1).copy_(o);
    sums.select(0, b).narrow(1, 0, query.size(1)).copy_(s.masked_fill(s == -kInfinity, 0));  // of what sees nothing
  }
  torch::jit::push(*stack, output, sums, at::Tensor(), at::Tensor(), query.size(1), in[1].toTensor().size(1));
}

void efficient_backward(const c10::OperatorHandle& op, Stack* stack) {
  const Stack in = torch::jit::pop(*stack, op.schema().arguments().size());
  check_efficient(in, 1);
  const at::Tensor grad = in[0].toTensor(), output = in[5].toTensor(), sums = in[10].toTensor();
  TORCH_CHECK(output.is_contiguous() && sums.is_contiguous() && sums.size(2) % 32 == 0, "layouts");
  std::array<at::Tensor, 3> gradients;
  for (size_t k = 0; k < 3; ++k) gradients[k] = at::empty(in[1 + k].toTensor().sizes(), grad.options());
  for (int64_t b = 0; b < grad.size(0); ++b) {
    const auto parts = efficient_dense(in, 1, b, in[14].toInt(), in[16].toDouble())
                           .backward(grad.select(0, b).transpose(0, 1), output.select(0, b).transpose(0, 1),
                                     sums.select(0, b).narrow(1, 0, grad.size(1)));
    for (size_t k = 0; k < 3; ++k) gradients[k].select(0, b).transpose(0, 1).copy_(parts[k]);
  }
  torch::jit::push(*stack, gradients[0], gradients[1], gradients[2], at::Tensor());
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, CPU, m) {
  m.impl("_flash_attention_forward", torch::CppFunction::makeFromBoxedFunction<&flash_forward>());
  m.impl("_flash_attention_backward", torch::CppFunction::makeFromBoxedFunction<&flash_backward>());
  m.impl("_scaled_dot_product_cudnn_attention", torch::CppFunction::makeFromBoxedFunction<&cudnn_forward>());
  m.impl("_scaled_dot_product_cudnn_attention_backward", torch::CppFunction::makeFromBoxedFunction<&cudnn_backward>());
  m.impl("_efficient_attention_forward", torch::CppFunction::makeFromBoxedFunction<&efficient_forward>());
  m.impl("_efficient_attention_backward", torch::CppFunction::makeFromBoxedFunction<&efficient_backward>());
}
