// Which KV heads one call of a dense attention kernel can do: heads that read the same two tensors at a constant step, so
// that a strided view of each tensor serves all of them. Knows nothing of tensors.
//
//   baseline, or whole layers read from below: one call; sla(heads=9) of 12: two
#pragma once

#include <cstdint>
#include <vector>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::cuda {

/// Heads first, first + step, first + 2 * step, …
struct HeadRange {
  int64_t first = 0;
  int64_t step = 1;  ///< >= 0; 0: the same head count times
  int64_t count = 0;

  int64_t at(int64_t i) const { return first + i * step; }
  bool operator==(const HeadRange&) const = default;
};

/// One call: KV head heads.at(i) attends over keys key_heads.at(i) and values value_heads.at(i), for all i < heads.count.
struct HeadGroup {
  HeadRange heads;  ///< KV heads of the query, step >= 1
  int64_t key_tensor = 0;
  int64_t value_tensor = 0;
  HeadRange key_heads;
  HeadRange value_heads;

  /// All of the group's query heads read one key head and one value head: grouped-query attention with a single KV head.
  bool reads_one_head() const { return key_heads.step == 0 && value_heads.step == 0; }
};

/// Few groups in which every pair of every KV head is exactly once. A head with several pairs is in several groups (which
/// of its pairs is in which does not matter to a softmax), never twice in one.
std::vector<HeadGroup> group_heads(const HeadPairs& pairs);

}  // namespace skipattn::attention::cuda
