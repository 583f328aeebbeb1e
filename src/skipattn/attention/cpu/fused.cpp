#include "skipattn/attention/cpu/fused.h"

#include <algorithm>
#include <limits>

#include "skipattn/attention/cpu/head_runs.h"
#include "skipattn/attention/cpu/source_gradients.h"
#include "skipattn/attention/cpu/tile.h"
#include "skipattn/attention/cpu/visible_blocks.h"

namespace skipattn::attention::cpu {
namespace {

/// Scores that tiles with dropout may hold at once, over all heads (16 MiB of fp32).
constexpr int64_t kDropoutScores = int64_t{1} << 22;

/// How one call is cut into tiles.
struct Tiling {
  std::vector<HeadRun> runs;
  std::vector<QueryBlock> blocks;
  Visibility visibility;
  at::Tensor first_key;  ///< keeps the numbers that `visibility` points to
};

Tiling make_tiling(const Problem& problem) {
  Tiling tiling;
  tiling.runs = find_head_runs(problem.pairs);
  tiling.visibility = {problem.batch(), problem.queries(), problem.keys(), problem.options.causal, nullptr};
  if (problem.options.first_key) {
    tiling.first_key = problem.options.first_key->contiguous();
    tiling.visibility.first_key = tiling.first_key.const_data_ptr<int32_t>();
  }
  BlockLimits limits;
  if (problem.options.dropout_p > 0) {
    const int64_t row = std::max<int64_t>(1, problem.batch() * problem.heads() * problem.keys());
    limits.rows = std::clamp<int64_t>(kDropoutScores / row, 16, 256);
  }
  tiling.blocks = find_visible_blocks(tiling.visibility, limits);
  return tiling;
}

template <typename T>
void fill_bias(const Visibility& visibility, const QueryBlock& block, const KeyRange& range, T* row) {
  const int64_t keys = range.end - range.begin;
  std::fill_n(row, (block.end - block.begin) * keys, -std::numeric_limits<T>::infinity());
  for (int64_t query = block.begin; query < block.end; ++query, row += keys) {
    const int64_t first = std::max(visibility.first(block.batch_begin, query), range.begin);
    const int64_t end = std::min(visibility.end(query), range.end);
    std::fill(row + (first - range.begin), row + (end - range.begin), T(0));
  }
}

/// 0 where the block's queries see the range's keys, -inf elsewhere: [1, 1, rows, keys], in the
/// accumulating dtype (torch's fused attention misreads fp32 masks of fp64 queries).
at::Tensor make_bias(const Problem& problem, const Visibility& visibility, const QueryBlock& block,
                     const KeyRange& range) {
  const auto options = problem.query.options().dtype(problem.accumulate_dtype());
  const at::Tensor bias = at::empty({1, 1, block.end - block.begin, range.end - range.begin}, options);
  if (problem.accumulate_dtype() == at::kDouble) {
    fill_bias(visibility, block, range, bias.data_ptr<double>());
  } else {
    fill_bias(visibility, block, range, bias.data_ptr<float>());
  }
  return bias;
}

/// The block's queries of the run's heads, of any tensor [B, H, T, …].
at::Tensor query_part(const Problem& problem, const HeadRun& run, const QueryBlock& block, const at::Tensor& tensor) {
  const int64_t group = problem.group_size();
  return tensor.narrow(0, block.batch_begin, block.batch_end - block.batch_begin)
      .narrow(1, run.first_head * group, run.head_count * group)
      .narrow(2, block.begin, block.end - block.begin);
}

at::Tensor source_part(const at::Tensor& source, int64_t head, int64_t head_count, const QueryBlock& block,
                       const KeyRange& range) {
  return source.narrow(0, block.batch_begin, block.batch_end - block.batch_begin)
      .narrow(1, head, head_count)
      .narrow(2, range.begin, range.end - range.begin);
}

/// Calls function(tile, pair, range) for every tile of one run and one block.
template <typename Function>
void for_each_tile(const Problem& problem, const Tiling& tiling, const HeadRun& run, const QueryBlock& block,
                   const Function& function) {
  Tile tile;
  tile.query = query_part(problem, run, block, problem.query);
  tile.group = problem.group_size();
  tile.scale = problem.scale();
  tile.dropout_p = problem.options.dropout_p;
  tile.origin = {problem.options.dropout_seed, block.batch_begin, run.first_head * tile.group, block.begin, 0};
  for (const KeyRange& range : block.ranges) {
    tile.mask = range.mask;
    tile.bias = range.mask == Mask::kExplicit ? make_bias(problem, tiling.visibility, block, range) : at::Tensor();
    tile.first_key = range.begin;
    for (size_t i = 0; i < run.pairs.size(); ++i) {
      const Pair& pair = run.pairs[i];
      tile.origin.pair = static_cast<int64_t>(i);
      tile.key = source_part(problem.sources[pair.key_tensor], pair.key_head, run.head_count, block, range);
      tile.value = source_part(problem.sources[pair.value_tensor], pair.value_head, run.head_count, block, range);
      function(tile, pair, range);
    }
  }
}

/// Writes the softmax over the keys of all `parts` together into `output` and `logsumexp`.
void merge(const std::vector<TileResult>& parts, at::Tensor output, at::Tensor logsumexp) {
  if (parts.empty()) {
    output.zero_();
    logsumexp.fill_(-std::numeric_limits<double>::infinity());
    return;
  }
  if (parts.size() == 1) {
    output.copy_(parts[0].output);
    logsumexp.copy_(parts[0].logsumexp);
    return;
  }
  std::vector<at::Tensor> logsumexps;
  for (const TileResult& part : parts) logsumexps.push_back(part.logsumexp);
  const at::Tensor total = at::logsumexp(at::stack(logsumexps), 0);
  at::Tensor sum = at::zeros(output.sizes(), total.options());
  for (const TileResult& part : parts) {
    sum.addcmul_(part.output.to(total.scalar_type()), (part.logsumexp - total).exp_().unsqueeze(-1));
  }
  output.copy_(sum);
  logsumexp.copy_(total);
}

/// True when two blocks of one batch element may meet the same key: then a pair contributes to it
/// more than once.
bool keys_overlap(const std::vector<QueryBlock>& blocks, int64_t batch) {
  std::vector<int64_t> met(batch, 0);  // end of the keys that earlier blocks met
  for (const QueryBlock& block : blocks) {
    if (block.ranges.empty()) continue;
    for (int64_t b = block.batch_begin; b < block.batch_end; ++b) {
      if (block.ranges.front().begin < met[b]) return true;
      met[b] = block.ranges.back().end;
    }
  }
  return false;
}

}  // namespace

Result fused_forward(const Problem& problem) {
  const at::Tensor& query = problem.query;
  Result result{empty_heads_inner(query.sizes(), query.options()),
                at::empty(query.sizes().slice(0, 3), query.options().dtype(problem.accumulate_dtype()))};
  if (query.numel() == 0) return result;
  const Tiling tiling = make_tiling(problem);
  const auto compute = problem.options.dropout_p > 0 ? dropout_forward : flash_forward;
  for (const HeadRun& run : tiling.runs) {
    for (const QueryBlock& block : tiling.blocks) {
      std::vector<TileResult> parts;
      for_each_tile(problem, tiling, run, block,
                    [&](const Tile& tile, const Pair&, const KeyRange&) { parts.push_back(compute(tile)); });
      merge(parts, query_part(problem, run, block, result.output), query_part(problem, run, block, result.logsumexp));
    }
  }
  return result;
}

Gradients fused_backward(const Problem& problem, const BackwardInput& input) {
  const at::Tensor& query = problem.query;
  const Tiling tiling = make_tiling(problem);
  at::Tensor grad_query = empty_heads_inner(query.sizes(), query.options());
  SourceGradients grad_sources(problem, keys_overlap(tiling.blocks, problem.batch()));
  if (query.numel() == 0) return {grad_query, grad_sources.finish()};
  const auto compute = problem.options.dropout_p > 0 ? dropout_backward : flash_backward;
  for (const HeadRun& run : tiling.runs) {
    for (const QueryBlock& block : tiling.blocks) {
      const TileBackwardInput rows{query_part(problem, run, block, input.grad_output),
                                   query_part(problem, run, block, input.output),
                                   query_part(problem, run, block, input.logsumexp)};
      at::Tensor sum;  // of the query's gradient, in the accumulating dtype from the second tile on
      for_each_tile(problem, tiling, run, block, [&](const Tile& tile, const Pair& pair, const KeyRange& range) {
        const TileGradients part = compute(tile, rows);
        sum = sum.defined() ? sum.to(problem.accumulate_dtype()).add_(part.query) : part.query;
        grad_sources.add({pair.key_tensor, pair.key_head, block.batch_begin, range.begin}, part.key);
        grad_sources.add({pair.value_tensor, pair.value_head, block.batch_begin, range.begin}, part.value);
      });
      at::Tensor target = query_part(problem, run, block, grad_query);
      sum.defined() ? target.copy_(sum) : target.zero_();
    }
  }
  return {grad_query, grad_sources.finish()};
}

}  // namespace skipattn::attention::cpu
