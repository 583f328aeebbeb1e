#include "skipattn/attention/cuda/stand_in_test.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "skipattn/core/random.h"

namespace skipattn::attention::cuda::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// bool [B, 1, T, S]
at::Tensor visible(const FusedCall& call) {
  const int64_t queries = call.queries(), keys = call.keys();
  const KeyPattern& pattern = *call.pattern;
  const at::Tensor key = at::arange(keys, at::kLong).view({1, 1, 1, keys});
  const at::Tensor position = at::arange(keys - queries, keys, at::kLong).view({1, 1, queries, 1});
  at::Tensor seen = at::ones({call.batch(), 1, queries, keys}, at::kBool);
  if (call.causal) seen = seen.logical_and(key <= position);
  if (pattern.window > 0) seen = seen.logical_and(key > position - pattern.window);
  if (pattern.kind == KeyPattern::Kind::kAny)
    seen = seen.logical_and(key >= pattern.first_key.unsqueeze(1).unsqueeze(-1));
  if (pattern.kind == KeyPattern::Kind::kDocuments) {
    EXPECT_EQ(queries, keys);
    const at::Tensor token = at::arange(call.batch() * queries, at::kInt);
    const at::Tensor document = at::searchsorted(pattern.starts, token, false, /*right=*/true).view({-1, 1, queries});
    seen = seen.logical_and(document.unsqueeze(-1) == document.unsqueeze(-2));
  }
  return seen;
}

at::Tensor for_every_query(const FusedCall& call, const at::Tensor& tensor) {
  return tensor.repeat_interleave(call.heads() / call.kv_heads(), 1);
}

at::Tensor scores_of(const FusedCall& call) {
  const at::Tensor scores = at::matmul(call.query, for_every_query(call, call.key).transpose(2, 3)) * call.scale;
  return scores.masked_fill(visible(call).logical_not(), -kInfinity);
}

at::Tensor sum_groups(const FusedCall& call, const at::Tensor& gradient) {
  return gradient.unflatten(1, {call.kv_heads(), call.heads() / call.kv_heads()}).sum(2);
}

}  // namespace

Result PlainAttention::forward(const FusedCall& call) const {
  ++forwards;
  const at::Tensor scores = scores_of(call), sums = at::logsumexp(scores, -1);
  const at::Tensor weights = (scores - sums.masked_fill(sums == -kInfinity, 0).unsqueeze(-1)).exp();
  return {at::matmul(weights, for_every_query(call, call.value)), sums};
}

FusedGradients PlainAttention::backward(const FusedCall& call, const BackwardInput& input) const {
  ++backwards;
  const at::Tensor sums = input.logsumexp.masked_fill(input.logsumexp == -kInfinity, 0).unsqueeze(-1);
  const at::Tensor weights = (scores_of(call) - sums).exp();
  const at::Tensor grad_weights = at::matmul(input.grad_output, for_every_query(call, call.value).transpose(2, 3));
  const at::Tensor row_sums = (input.grad_output * input.output).sum(-1, true);
  const at::Tensor grad_scores = weights * (grad_weights - row_sums) * call.scale;
  return {at::matmul(grad_scores, for_every_query(call, call.key)),
          sum_groups(call, at::matmul(grad_scores.transpose(2, 3), call.query)),
          sum_groups(call, at::matmul(weights.transpose(2, 3), input.grad_output))};
}

attention::test::Outcome run_routed(const attention::test::Inputs& inputs,
                                    const std::vector<const FusedAttention*>& implementations,
                                    const KeyPattern* pattern) {
  const c10::NoGradGuard no_grad;
  NoClock clock;
  Choice choice(implementations, clock);
  const Problem problem{inputs.query, inputs.sources, inputs.pairs, inputs.options};
  attention::test::Outcome outcome;
  outcome.result = routed_forward(problem, choice, pattern);
  const Gradients gradients =
      routed_backward(problem, {inputs.grad_output, outcome.result.output, outcome.result.logsumexp}, choice, pattern,
                      {.sources = std::vector<GradientTarget>(inputs.sources.size())});
  outcome.grad_query = gradients.query;
  outcome.grad_sources = gradients.sources;
  return outcome;
}

HeadPairs random_pairs(int64_t kv_heads, int64_t tensors, uint64_t seed) {
  Random random(seed);
  const auto below = [&](int64_t limit) { return static_cast<int64_t>(random.below(static_cast<uint64_t>(limit))); };
  HeadPairs pairs(kv_heads);
  for (auto& list : pairs)
    for (int64_t i = below(4); i > 0; --i)
      list.push_back({below(tensors), below(kv_heads), below(tensors), below(kv_heads)});
  return pairs;
}

}  // namespace skipattn::attention::cuda::test
