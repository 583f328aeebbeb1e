#include "skipattn/attention/reference.h"

#include <limits>

#include "skipattn/attention/dropout_hash.h"

namespace skipattn::attention {
namespace {

constexpr int64_t kMask32 = 0xffffffff;

/// x * factor modulo 2^32 for x in [0, 2^32), in int64 without overflow: the factor's halves one
/// after the other.
at::Tensor multiply32(const at::Tensor& x, uint32_t factor) {
  const at::Tensor high = (x * static_cast<int64_t>(factor >> 16)).bitwise_and(0xffff) * 65536;
  return (x * static_cast<int64_t>(factor & 0xffff) + high).bitwise_and(kMask32);
}

at::Tensor xor_shift(const at::Tensor& x, int64_t bits) {
  return x.bitwise_xor(x.bitwise_right_shift(at::Scalar(bits)));
}

/// mix_bits() of dropout_hash.h on a tensor of 32-bit numbers held in int64.
at::Tensor mix_bits_of(const at::Tensor& x) {
  const at::Tensor half = xor_shift(multiply32(xor_shift(x, 16), kHashMultiply1), 15);
  return xor_shift(multiply32(half, kHashMultiply2), 16);
}

/// What each query head of one KV head sees and weighs.
struct HeadWeights {
  std::vector<at::Tensor> probabilities;  ///< per pair: [B, G, T, S], before dropout
  std::vector<at::Tensor> factors;        ///< per pair: what dropout multiplies by; empty without dropout
  at::Tensor logsumexp;                   ///< [B, G, T]

  at::Tensor weights(size_t pair) const {
    return factors.empty() ? probabilities[pair] : probabilities[pair] * factors[pair];
  }
};

at::Tensor queries_of(const Problem& problem, const at::Tensor& tensor, int64_t kv_head) {
  return tensor.narrow(1, kv_head * problem.group_size(), problem.group_size());  // [B, G, T, d]
}

at::Tensor keys_of(const Problem& problem, const Pair& pair) {
  return problem.sources[pair.key_tensor].narrow(1, pair.key_head, 1);  // [B, 1, S, d]
}

at::Tensor values_of(const Problem& problem, const Pair& pair) {
  return problem.sources[pair.value_tensor].narrow(1, pair.value_head, 1);  // [B, 1, S, d]
}

HeadWeights weigh(const Problem& problem, int64_t kv_head, const at::Tensor& visible) {
  const auto& pairs = problem.pairs[kv_head];
  const at::Tensor query = queries_of(problem, problem.query, kv_head);
  std::vector<at::Tensor> scores;
  for (const Pair& pair : pairs) {
    const at::Tensor score = at::matmul(query, keys_of(problem, pair).transpose(2, 3)) * problem.scale();
    scores.push_back(score.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity()));
  }
  const at::Tensor all = at::cat(scores, -1);                                       // [B, G, T, pairs * S]
  const at::Tensor sees_nothing = visible.any(-1, /*keepdim=*/true).logical_not();  // [B, 1, T, 1]
  const at::Tensor softmax = at::softmax(all.masked_fill(sees_nothing, 0.0), -1).masked_fill(sees_nothing, 0.0);

  HeadWeights result;
  result.probabilities = softmax.split(problem.keys(), -1);
  result.logsumexp = at::logsumexp(all.detach().to(problem.accumulate_dtype()), -1);
  for (size_t i = 0; problem.options.dropout_p > 0 && i < pairs.size(); ++i) {
    result.factors.push_back(dropout_factors(problem, kv_head, static_cast<int64_t>(i)));
  }
  return result;
}

/// The gradients of one KV head, added into `gradients` (whose tensors are of the accumulating
/// dtype).
void add_head_gradients(const Problem& problem, const BackwardInput& input, int64_t kv_head, Gradients& gradients) {
  const auto& pairs = problem.pairs[kv_head];
  const HeadWeights weights = weigh(problem, kv_head, visible_keys(problem));
  const at::Tensor query = queries_of(problem, problem.query, kv_head);
  const at::Tensor grad = queries_of(problem, input.grad_output, kv_head);
  const at::Tensor output = queries_of(problem, input.output, kv_head);
  const at::ScalarType accumulate = problem.accumulate_dtype();
  const at::Tensor row_sums = (grad.to(accumulate) * output.to(accumulate)).sum(-1, /*keepdim=*/true);
  at::Tensor grad_query = queries_of(problem, gradients.query, kv_head);
  for (size_t i = 0; i < pairs.size(); ++i) {
    at::Tensor grad_weights = at::matmul(grad, values_of(problem, pairs[i]).transpose(2, 3));
    if (!weights.factors.empty()) grad_weights = grad_weights * weights.factors[i];
    const at::Tensor grad_scores =
        (weights.probabilities[i] * (grad_weights - row_sums)).to(query.scalar_type()) * problem.scale();
    grad_query.add_(at::matmul(grad_scores, keys_of(problem, pairs[i])));
    gradients.sources[pairs[i].key_tensor]
        .narrow(1, pairs[i].key_head, 1)
        .add_(at::matmul(grad_scores.transpose(2, 3), query).sum(1, /*keepdim=*/true, accumulate));
    gradients.sources[pairs[i].value_tensor]
        .narrow(1, pairs[i].value_head, 1)
        .add_(at::matmul(weights.weights(i).transpose(2, 3), grad).sum(1, /*keepdim=*/true, accumulate));
  }
}

}  // namespace

at::Tensor visible_keys(const Problem& problem) {
  const auto indices = problem.query.options().dtype(at::kLong);
  const int64_t queries = problem.queries(), keys = problem.keys();
  const at::Tensor key = at::arange(keys, indices).view({1, 1, 1, keys});
  at::Tensor visible = at::ones({problem.batch(), 1, queries, keys}, indices.dtype(at::kBool));
  if (problem.options.causal) {
    const at::Tensor position = at::arange(keys - queries, keys, indices).view({1, 1, queries, 1});
    visible = visible.logical_and(key <= position);
  }
  if (problem.options.first_key) {
    visible = visible.logical_and(key >= problem.options.first_key->unsqueeze(1).unsqueeze(-1));
  }
  return visible;
}

at::Tensor dropout_factors(const Problem& problem, int64_t kv_head, int64_t pair) {
  const auto integers = problem.query.options().dtype(at::kLong);
  const auto seed = static_cast<uint64_t>(problem.options.dropout_seed);
  const int64_t group = problem.group_size();
  const at::Tensor batch = at::arange(problem.batch(), integers).view({-1, 1, 1, 1});
  const at::Tensor head = at::arange(kv_head * group, (kv_head + 1) * group, integers).view({1, -1, 1, 1});
  const at::Tensor query =
      at::arange(problem.first_query, problem.first_query + problem.queries(), integers).view({1, 1, -1, 1});
  const at::Tensor key = at::arange(problem.keys(), integers).view({1, 1, 1, -1});

  at::Tensor hash = at::full({1, 1, 1, 1}, static_cast<int64_t>((seed & kMask32) ^ kHashStart), integers);
  hash = mix_bits_of(mix_bits_of(hash).bitwise_xor(static_cast<int64_t>(seed >> 32)));
  hash = mix_bits_of(hash.bitwise_xor(batch));
  hash = mix_bits_of(hash.bitwise_xor(head));
  hash = mix_bits_of(hash.bitwise_xor(query));
  hash = mix_bits_of(hash.bitwise_xor(pair));
  const at::Tensor bits = mix_bits_of(hash.bitwise_xor(multiply32(key, kHashStart)));
  const at::Tensor kept = bits >= static_cast<int64_t>(drop_threshold(problem.options.dropout_p));
  return kept.to(problem.query.scalar_type()) / (1.0 - problem.options.dropout_p);
}

Result reference_forward(const Problem& problem) {
  check_problem(problem);
  const at::Tensor visible = visible_keys(problem);
  std::vector<at::Tensor> outputs, logsumexps;
  for (int64_t kv_head = 0; kv_head < problem.kv_heads(); ++kv_head) {
    const auto& pairs = problem.pairs[kv_head];
    at::Tensor output = at::zeros_like(queries_of(problem, problem.query, kv_head));
    at::Tensor logsumexp = at::full(output.sizes().slice(0, 3), -std::numeric_limits<double>::infinity(),
                                    problem.query.options().dtype(problem.accumulate_dtype()));
    if (!pairs.empty() && problem.keys() > 0) {
      const HeadWeights weights = weigh(problem, kv_head, visible);
      logsumexp = weights.logsumexp;
      for (size_t i = 0; i < pairs.size(); ++i) {
        output = output + at::matmul(weights.weights(i), values_of(problem, pairs[i]));
      }
    }
    outputs.push_back(output);
    logsumexps.push_back(logsumexp);
  }
  return {with_heads_inner(at::cat(outputs, 1)), at::cat(logsumexps, 1)};
}

void reference_add_gradients(const Problem& problem, const BackwardInput& input, Gradients& sums) {
  for (int64_t kv_head = 0; kv_head < problem.kv_heads(); ++kv_head) {
    if (problem.keys() > 0 && !problem.pairs[kv_head].empty()) add_head_gradients(problem, input, kv_head, sums);
  }
}

Gradients reference_backward(const Problem& problem, const BackwardInput& input) {
  check_problem(problem);
  check_backward_input(problem, input);
  const auto zeros = [&](const at::Tensor& like) {
    return empty_heads_inner(like.sizes(), like.options().dtype(problem.accumulate_dtype())).zero_();
  };
  Gradients gradients{zeros(problem.query), {}};
  for (const at::Tensor& source : problem.sources) gradients.sources.push_back(zeros(source));
  reference_add_gradients(problem, input, gradients);
  gradients.query = gradients.query.to(problem.query.scalar_type());
  for (at::Tensor& source : gradients.sources) source = source.to(problem.query.scalar_type());
  return gradients;
}

}  // namespace skipattn::attention
