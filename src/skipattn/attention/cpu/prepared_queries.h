// The queries of a backward pass, packed for the kernels, and the sums of their gradients: one set of memory for each unit
// (a KV head of a batch element) in work. Internal.
#pragma once

#include "skipattn/attention/cpu/buffer.h"
#include "skipattn/attention/cpu/flash_problem.h"

namespace skipattn::attention::cpu {

/// Packed queries of one query head, all blocks, and the sums of its gradient.
struct PreparedHead {
  uint32_t *query_lanes, *query_pairs, *grad_lanes, *grad_pairs;  ///< [blocks] panels
  float *logsumexp2, *delta;                                      ///< [blocks][64]
  float* grad_query;                                              ///< [blocks][width][64]
};

class PreparedQueries {
 public:
  /// Both must outlive it.
  PreparedQueries(const FlashProblem& problem, const FlashBackward& call);

  /// Memory that a unit takes.
  int64_t unit_bytes() const { return p_.group * head_floats_ * static_cast<int64_t>(sizeof(float)); }
  /// Memory for so many units; unit u takes place u % slots.
  void make_room(int64_t slots);

  /// Of query head `g` of the unit.
  PreparedHead head(int64_t unit, int64_t g) const;
  /// The same, from block `block` on.
  PreparedHead block(int64_t unit, int64_t g, int64_t block) const;
  /// Packs one block. The gradient of one that sees no key is zero and is written.
  void prepare(int64_t unit, int64_t g, int64_t block) const;

 private:
  void pack_padded_pairs(RowsView rows, int count, uint32_t* panel) const;
  void prepare_sums(int64_t b, int64_t head, int64_t block, const PreparedHead& to) const;

  const FlashProblem& p_;
  const float* logsumexp_;  // [B, H, T]
  HeadRows query_, output_, grad_output_, grad_query_;
  int64_t lanes_words_, pairs_words_, head_floats_;
  int64_t slots_ = 0;
  Buffer memory_;
};

}  // namespace skipattn::attention::cpu
