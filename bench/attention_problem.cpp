#include "attention_problem.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>

#include "skipattn/attention/cpu/buffer.h"

namespace skipattn::bench {

namespace {

/// Heads [begin, begin + count) of a fused projection as a view [B, count, T, d].
at::Tensor head_view(const at::Tensor& fused, int64_t begin, int64_t count, int64_t width) {
  return fused.narrow(2, begin * width, count * width).unflatten(2, {count, width}).transpose(1, 2);
}

/// A copy in memory like the model's, which large buffers take in huge pages where the system gives them.
at::Tensor in_model_memory(const at::Tensor& x) {
  const int64_t rows = x.numel() / x.size(-1);
  const at::Tensor copy = attention::cpu::pooled_heads_inner({1, 1, rows, x.size(-1)}, x.options()).view(x.sizes());
  return copy.copy_(x);
}

attention::Options options_of(const AttentionShape& shape) {
  attention::Options options;
  options.causal = shape.causal;
  return options;
}

}  // namespace

double AttentionShape::forward_flops() const {
  const auto t = static_cast<double>(length);
  return 4.0 * static_cast<double>(batch * heads * head_width) * t * t * (causal ? 0.5 : 1.0);
}

AttentionProblem::AttentionProblem(const AttentionShape& shape) : shape_(shape) {
  const int64_t h = shape.heads, own = h - shape.borrowed, d = shape.head_width;
  at::Generator generator = at::detail::createCPUGenerator(1);
  const auto random = [&](int64_t rows) {
    const at::Tensor x = at::randn({shape.batch, shape.length, rows * d}, generator, at::TensorOptions(at::kFloat));
    return in_model_memory(x.to(shape.dtype));
  };
  const at::Tensor layer = random(h + 2 * own), lender = random(3 * h);
  query_ = head_view(layer, 0, h, d);
  sources_ = {head_view(layer, h, own, d), head_view(layer, h + own, own, d), head_view(lender, h, h, d),
              head_view(lender, 2 * h, h, d)};
  for (int64_t head = 0; head < h; ++head) {
    const int64_t first = head < own ? 0 : 2;
    pairs_.push_back({{first, head, first + 1, head}});
  }
  gradient_ = head_view(random(h), 0, h, d);
  q_ = in_model_memory(query_);
  k_ = in_model_memory(at::cat({sources_[0], sources_[2].slice(1, own)}, 1));
  v_ = in_model_memory(at::cat({sources_[1], sources_[3].slice(1, own)}, 1));
  contiguous_gradient_ = in_model_memory(gradient_);
  if (own == 0) {  // a layer that projects no keys and values of its own offers none
    sources_.erase(sources_.begin(), sources_.begin() + 2);
    for (auto& head : pairs_) head.front() = {0, head.front().key_head, 1, head.front().value_head};
  }
}

attention::Result AttentionProblem::run_ours() const {
  return attention::routed_attention(query_, sources_, pairs_, options_of(shape_));
}

attention::Gradients AttentionProblem::run_ours_backward(const attention::Result& result) const {
  return attention::routed_attention_backward(gradient_, query_, sources_, pairs_, options_of(shape_), result);
}

void AttentionProblem::ours_forward() const {
  const c10::NoGradGuard no_grad;
  run_ours();
}

void AttentionProblem::ours_both() const {
  const c10::NoGradGuard no_grad;
  run_ours_backward(run_ours());
}

void AttentionProblem::torch_forward() const {
  const c10::NoGradGuard no_grad;
  at::_scaled_dot_product_flash_attention_for_cpu(q_, k_, v_, 0.0, shape_.causal);
}

void AttentionProblem::torch_both() const {
  torch();
}

AttentionResults AttentionProblem::torch() const {
  const c10::NoGradGuard no_grad;
  const auto [output, logsumexp] = at::_scaled_dot_product_flash_attention_for_cpu(q_, k_, v_, 0.0, shape_.causal);
  const auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      contiguous_gradient_, q_, k_, v_, output, logsumexp, 0.0, shape_.causal);
  return {output, dq, dk, dv};
}

AttentionResults AttentionProblem::per_head(const at::Tensor& output, const at::Tensor& query,
                                            const std::vector<at::Tensor>& sources) const {
  const int64_t own = shape_.heads - shape_.borrowed;
  if (own == 0) return {output, query, sources[0], sources[1]};
  return {output, query, at::cat({sources[0], sources[2].slice(1, own)}, 1),
          at::cat({sources[1], sources[3].slice(1, own)}, 1)};
}

AttentionResults AttentionProblem::ours() const {
  const c10::NoGradGuard no_grad;
  const attention::Result result = run_ours();
  const attention::Gradients gradients = run_ours_backward(result);
  return per_head(result.output, gradients.query, gradients.sources);
}

AttentionResults AttentionProblem::exact() const {
  const auto leaf = [](const at::Tensor& x) { return x.detach().to(at::kDouble).requires_grad_(true); };
  const at::Tensor query = leaf(query_);
  std::vector<at::Tensor> sources;
  for (const at::Tensor& source : sources_) sources.push_back(leaf(source));
  const at::Tensor output = attention::routed_attention_reference(query, sources, pairs_, options_of(shape_)).output;
  output.backward(gradient_.to(at::kDouble));
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& source : sources)
    gradients.push_back(source.grad().defined() ? source.grad() : at::zeros_like(source));
  return per_head(output.detach(), query.grad(), gradients);
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor exact = b.to(at::kDouble);
  return ((a.to(at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

}  // namespace skipattn::bench
