// What decoding on a card needs besides the model's fused kernels (model/fused): a token's keys and values into the cache, and
// the attention of one query over a head's own sources in it. By plain pointers into device memory; the number of tokens in
// the cache is read there too, so that a recorded step serves every token.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace skipattn::inference {

/// One source of a query head: where its keys and values lie for the first row, and how many elements further for the next.
struct CardPair {
  const void* keys = nullptr;    ///< [capacity, head_width]
  const void* values = nullptr;  ///< [capacity, head_width]
  int64_t key_stride = 0;
  int64_t value_stride = 0;
};

/// One layer's new keys and values, of one token a row.
struct CardAppend {
  const void* projected = nullptr;  ///< the first key head's; the value heads' follow
  int64_t projected_stride = 0;     ///< elements from row to row
  void* keys = nullptr;             ///< [rows, key_heads, capacity, head_width]
  void* values = nullptr;           ///< [rows, value_heads, capacity, head_width]
  int64_t rows = 0, key_heads = 0, value_heads = 0, head_width = 0, capacity = 0;
  const int64_t* slot = nullptr;  ///< where in the cache
  bool bf16 = false;              ///< projected; else fp32
  bool cache_bf16 = false;
};

/// One layer's attention, of one query a row.
struct CardAttend {
  const void* query = nullptr;  ///< [rows, heads * head_width]
  int64_t query_stride = 0;     ///< elements from row to row
  const CardPair* pairs = nullptr;
  const int32_t* pair_begin = nullptr;  ///< [heads + 1], into pairs; a head without pairs gives zeros
  int64_t most_pairs = 0;               ///< of a head
  const int64_t* slot = nullptr;        ///< the newest slot, which the query sees too
  const int64_t* first = nullptr;       ///< [rows], the first slot that is not padding
  int64_t window = 0;                   ///< slots seen, the newest included; 0: all
  float* partial = nullptr;             ///< scratch, card_partials() elements
  void* attended = nullptr;             ///< [rows, heads * head_width], dense
  int64_t rows = 0, heads = 0, head_width = 0, capacity = 0;
  float scale = 1.0f;
  bool bf16 = false;  ///< query and attended; else fp32
  bool cache_bf16 = false;
};

/// Slots that one block of the attention kernel looks at.
inline constexpr int64_t kCardChunk = 256;

inline int64_t card_chunks(int64_t capacity) {
  return (capacity + kCardChunk - 1) / kCardChunk;
}
/// Elements of scratch: for every row, head, pair and chunk a sum of values, the largest score and the sum of weights.
inline int64_t card_partials(const CardAttend& call) {
  return call.rows * call.heads * call.most_pairs * card_chunks(call.capacity) * (call.head_width + 2);
}

struct CardKernels {
  void (*append)(const CardAppend& call, c10::Device device);
  void (*attend)(const CardAttend& call, c10::Device device);  ///< head_width at most kMostCardWidth
};
inline constexpr int64_t kMostCardWidth = 256;

/// The device's; null where there are none, on the CPU too.
const CardKernels* find_card_kernels(c10::Device device);
/// For tests: the CPU has these from now on (the emulated ones); null: none.
void replace_cpu_card_kernels(const CardKernels* kernels);

}  // namespace skipattn::inference

namespace skipattn::inference::cuda {
/// Null in a build without CUDA.
const CardKernels* card_kernels();
}  // namespace skipattn::inference::cuda
