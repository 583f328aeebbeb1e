#include "skipattn/attention/cuda/blocks.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/attention/reference.h"

namespace skipattn::attention::cuda {
namespace {

/// Queries [begin, begin + count) of a problem, and as many keys as the last of them sees.
struct Block {
  int64_t begin = 0, count = 0, keys = 0;

  at::Tensor queries_of(const at::Tensor& tensor) const { return tensor.narrow(2, begin, count); }
  at::Tensor keys_of(const at::Tensor& tensor) const { return tensor.narrow(2, 0, keys); }

  Problem problem_of(const Problem& whole) const {
    Problem problem = whole;
    problem.query = queries_of(whole.query);
    for (at::Tensor& source : problem.sources) source = keys_of(source);
    if (whole.options.first_key) problem.options.first_key = whole.options.first_key->narrow(1, begin, count);
    problem.first_query = whole.first_query + begin;
    return problem;
  }
};

std::vector<Block> cut(const Problem& problem, int64_t block_scores) {
  const int64_t row = std::max<int64_t>(1, problem.batch() * problem.group_size() * problem.keys());
  const int64_t rows = std::max<int64_t>(1, block_scores / row);
  std::vector<Block> blocks;
  for (int64_t begin = 0; begin < problem.queries(); begin += rows) {
    const int64_t count = std::min(rows, problem.queries() - begin), end = begin + count;
    const int64_t seen = std::max<int64_t>(0, problem.keys() - problem.queries() + end);
    blocks.push_back({begin, count, problem.options.causal ? seen : problem.keys()});
  }
  return blocks;
}

/// In the accumulating dtype: several roundings to bf16 on the way would add up.
Problem widened(Problem problem) {
  const at::ScalarType wide = problem.accumulate_dtype();
  problem.query = problem.query.to(wide);
  for (at::Tensor& source : problem.sources) source = source.to(wide);
  return problem;
}

}  // namespace

Result blocks_forward(const Problem& narrow, int64_t block_scores) {
  const Problem problem = widened(narrow);
  const at::Tensor& query = narrow.query;
  const Result result{empty_heads_inner(query.sizes(), query.options()),
                      at::empty(query.sizes().slice(0, 3), query.options().dtype(problem.accumulate_dtype()))};
  for (const Block& block : cut(problem, block_scores)) {
    const Result part = reference_forward(block.problem_of(problem));
    block.queries_of(result.output).copy_(part.output);
    block.queries_of(result.logsumexp).copy_(part.logsumexp);
  }
  return result;
}

Gradients blocks_backward(const Problem& narrow, const BackwardInput& input, int64_t block_scores) {
  const Problem problem = widened(narrow);
  const at::Tensor grad_output = input.grad_output.to(problem.accumulate_dtype());
  const auto zeros = [&](const at::Tensor& like) {
    return empty_heads_inner(like.sizes(), like.options().dtype(problem.accumulate_dtype())).zero_();
  };
  Gradients sums{zeros(problem.query), {}};
  for (const at::Tensor& source : problem.sources) sums.sources.push_back(zeros(source));
  for (const Block& block : cut(problem, block_scores)) {
    Gradients part{block.queries_of(sums.query), {}};
    for (const at::Tensor& sum : sums.sources) part.sources.push_back(block.keys_of(sum));
    reference_add_gradients(
        block.problem_of(problem),
        {block.queries_of(grad_output), block.queries_of(input.output), block.queries_of(input.logsumexp)}, part);
  }
  sums.query = sums.query.to(narrow.query.scalar_type());
  for (at::Tensor& source : sums.sources) source = source.to(narrow.query.scalar_type());
  return sums;
}

}  // namespace skipattn::attention::cuda
