// Attention of one position's queries over keys and values where they lie in the cache: softmax in one pass over stretches
// of a block (FlashAttention's running maximum and sum, arXiv 2205.14135), fp32 throughout. Long contexts are cut into
// parts of a fixed length, whatever the number of threads, and merged at the end (as in Flash-Decoding).
#pragma once

#include "skipattn/inference/cpu/elements.h"

namespace skipattn::inference::cpu {

inline constexpr int64_t kBlockRows = 64;  ///< positions of a cache block

/// Rows [begin, end) of one block's keys and values of one head.
struct CachedRows {
  const void* keys = nullptr;         ///< row 0 of the block, rows dense
  const void* values = nullptr;       ///< as keys
  const float* key_scales = nullptr;  ///< int8: [kBlockRows]
  const float* value_scales = nullptr;
  int begin = 0;
  int end = 0;
};

/// What the queries of one KV head have got from the keys so far: softmax's maximum and sum, and the values' weighted sum not
/// yet divided by it.
struct Attended {
  float* largest = nullptr;   ///< [queries]
  float* sum = nullptr;       ///< [queries]
  float* weighted = nullptr;  ///< [queries][padded(d)], ordered
};

struct AttendCall {
  Dtype dtype = Dtype::kFp32;    ///< of keys and values
  int64_t head_width = 0;        ///< d
  int64_t queries = 0;           ///< query heads that share the KV head
  const float* query = nullptr;  ///< [queries][padded(d)], ordered, times the softmax scale
  CachedRows rows;               ///< of which softmax takes in the keys
  CachedRows next;               ///< what comes after them, to be asked for meanwhile; or nothing
  Attended result;
};

/// Makes the result that of no keys.
void begin_attended(const AttendCall& call);
/// Adds the rows to the result.
void attend_cached(const AttendCall& call);

/// output[d] = what `count` parts found together for one query, divided by their sum; zeros where no part has keys.
/// largest and sum [count] apart by `stride`, weighted apart by `weighted_stride`.
struct MergeCall {
  Dtype dtype = Dtype::kFp32;  ///< whose order `weighted` has
  int64_t head_width = 0;
  int64_t count = 0;
  const float* largest = nullptr;
  const float* sum = nullptr;
  int64_t stride = 0;
  const float* weighted = nullptr;
  int64_t weighted_stride = 0;
};
void merge_parts(const MergeCall& call, float* output);

}  // namespace skipattn::inference::cpu
