// Cuts the [T, S] plane of queries and keys into blocks that a dense kernel can do, leaving out
// what no query sees. Where first_key stays the same for many queries (documents, padding, none
// given) the blocks need no mask at all: the keys before the queries' own are seen by all of them,
// and the rest is an ordinary causal square. Where it changes quickly (sliding windows, short
// documents) a block carries a small mask. Knows nothing of tensors.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace skipattn::attention::cpu {

enum class Mask {
  kNone,      ///< every query of the block sees every key of the range
  kCausal,    ///< as many keys as queries; query i sees keys 0..i of the range
  kExplicit,  ///< only first_key and the causal rule tell
};

struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
  Mask mask = Mask::kNone;
  bool operator==(const KeyRange&) const = default;
};

/// Queries [begin, end) of batch elements [batch_begin, batch_end). The ranges do not overlap and
/// every query sees a key in every range; there are no ranges where the queries see nothing.
struct QueryBlock {
  int64_t batch_begin = 0;
  int64_t batch_end = 0;
  int64_t begin = 0;
  int64_t end = 0;
  std::vector<KeyRange> ranges;
  bool operator==(const QueryBlock&) const = default;
};

/// What the queries may see: query i stands at position keys - queries + i.
struct Visibility {
  int64_t batch = 0;
  int64_t queries = 0;  ///< T
  int64_t keys = 0;     ///< S
  bool causal = true;
  const int32_t* first_key = nullptr;  ///< [batch, queries], dense; null: 0

  /// The keys that one query sees are [first, end); none when end <= first.
  int64_t first(int64_t batch_index, int64_t query) const;
  int64_t end(int64_t query) const;
};

struct BlockLimits {
  int64_t rows = std::numeric_limits<int64_t>::max();  ///< queries a block with keys may have
  int64_t masked_rows = 256;                           ///< queries that a block with an explicit mask may have
  int64_t unmasked_rows = 64;  ///< queries with one first_key that are worth a block without a mask
};

/// Blocks in which every (batch element, query) is exactly once.
std::vector<QueryBlock> find_visible_blocks(const Visibility& visibility, const BlockLimits& limits);

}  // namespace skipattn::attention::cpu
