#include "skipattn/attention/cpu/prepared_queries.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace skipattn::attention::cpu {

PreparedQueries::PreparedQueries(const FlashProblem& problem, const FlashBackward& call)
    : p_(problem),
      logsumexp_(call.logsumexp.const_data_ptr<float>()),
      query_(problem.problem.query),
      output_(call.output),
      grad_output_(call.grad_output),
      grad_query_(call.grad_query),
      lanes_words_(int64_t{problem.geometry.row_words} * kQueryBlock),
      pairs_words_(int64_t{problem.geometry.lane_words} * kQueryBlock / problem.geometry.pair),
      head_floats_(problem.blocks *
                   (2 * lanes_words_ + 2 * pairs_words_ + (2 + int64_t{problem.geometry.width}) * kQueryBlock)) {}

void PreparedQueries::make_room(int64_t slots) {
  slots_ = slots;
  memory_ = Buffer(slots * unit_bytes());
}

PreparedHead PreparedQueries::head(int64_t unit, int64_t g) const {
  float* base = memory_.floats() + (unit % slots_ * p_.group + g) * head_floats_;
  PreparedHead head;
  const auto take_words = [&](int64_t words) {
    auto* taken = reinterpret_cast<uint32_t*>(base);
    base += words;
    return taken;
  };
  head.query_lanes = take_words(p_.blocks * lanes_words_);
  head.query_pairs = take_words(p_.blocks * pairs_words_);
  head.grad_lanes = take_words(p_.blocks * lanes_words_);
  head.grad_pairs = take_words(p_.blocks * pairs_words_);
  head.logsumexp2 = base;
  head.delta = base + p_.blocks * kQueryBlock;
  head.grad_query = base + 2 * p_.blocks * kQueryBlock;
  return head;
}

PreparedHead PreparedQueries::block(int64_t unit, int64_t g, int64_t block) const {
  const PreparedHead all = head(unit, g);
  return {all.query_lanes + block * lanes_words_,
          all.query_pairs + block * pairs_words_,
          all.grad_lanes + block * lanes_words_,
          all.grad_pairs + block * pairs_words_,
          all.logsumexp2 + block * kQueryBlock,
          all.delta + block * kQueryBlock,
          all.grad_query + block * p_.geometry.width * kQueryBlock};
}

void PreparedQueries::prepare(int64_t unit, int64_t g, int64_t block_index) const {
  const int64_t b = unit / p_.kv_heads, kv_head = unit % p_.kv_heads;
  const int64_t head = kv_head * p_.group + g, first = block_index * kQueryBlock;
  const int count = p_.block_queries(block_index);
  const PreparedHead to = block(unit, g, block_index);
  const KernelTable& k = p_.kernels;
  const VisibleKeys& visible = p_.visible_keys(b, block_index);
  if (visible.end <= visible.begin || p_.problem.pairs[kv_head].empty()) {
    std::fill_n(to.grad_query, int64_t{p_.geometry.width} * kQueryBlock, 0.0f);
    k.write_lanes(p_.geometry, to.grad_query, 1.0f, count, grad_query_.mutable_view(b, head, first), p_.element);
    return;
  }
  const RowsView query = query_.view(b, head, first), grad = grad_output_.view(b, head, first);
  k.pack_lanes(p_.geometry, query, p_.element, count, to.query_lanes);
  pack_padded_pairs(query, count, to.query_pairs);
  k.pack_lanes(p_.geometry, grad, p_.element, count, to.grad_lanes);
  pack_padded_pairs(grad, count, to.grad_pairs);
  prepare_sums(b, head, block_index, to);
}

/// A pairs panel of 64 rows, zeros after the last.
void PreparedQueries::pack_padded_pairs(RowsView rows, int count, uint32_t* panel) const {
  p_.kernels.pack_pairs(p_.geometry, rows, p_.element, count, panel);
  const int64_t used = pairs_panel_words(p_.geometry, count);
  std::memset(panel + used, 0, (pairs_words_ - used) * sizeof(uint32_t));
}

/// Per query: its logsumexp in powers of two, and its gradient's product with the output.
void PreparedQueries::prepare_sums(int64_t b, int64_t head, int64_t block_index, const PreparedHead& to) const {
  const int64_t first = block_index * kQueryBlock;
  const int count = p_.block_queries(block_index);
  p_.kernels.row_dots(p_.geometry.width, output_.view(b, head, first), grad_output_.view(b, head, first), p_.element,
                      count, to.delta);
  const float* logsumexp = logsumexp_ + (b * p_.heads + head) * p_.queries + first;
  for (int i = 0; i < kQueryBlock; ++i) {
    const bool sees = i < count && !std::isinf(logsumexp[i]);
    to.logsumexp2[i] = sees ? logsumexp[i] * kLog2E : std::numeric_limits<float>::infinity();
    if (i >= count) to.delta[i] = 0;
  }
}

}  // namespace skipattn::attention::cpu
