// Stored numbers, 32 at a time, as two vectors of fp32. Which number comes in which lane depends on the type, so that
// loading costs least: bf16 and int8 give the even ones, then the odd ones. Vectors that are multiplied by stored numbers lie in
// the same order ("ordered"), in rows padded with zeros to whole chunks; then numbers behind the end of a stored row may
// be read as well (they meet zeros), as long as the memory is ours: kSlack bytes behind every buffer are.
#pragma once

#include <cmath>

#include "skipattn/core/simd.h"
#include "skipattn/inference/dtype.h"

namespace skipattn::inference::cpu {

using simd::Floats;

inline constexpr int64_t kChunk = 32;   ///< numbers
inline constexpr int64_t kSlack = 256;  ///< bytes that may be read behind the last row of a buffer

/// Numbers of an ordered row: `count` rounded up to whole chunks.
inline int64_t padded(int64_t count) {
  return (count + kChunk - 1) / kChunk * kChunk;
}

/// One chunk.
struct Chunk {
  Floats first, second;
};

SKIPATTN_INLINE Chunk load_chunk(const float* from) {
  return {simd::load(from), simd::load(from + simd::kLanes)};
}

SKIPATTN_INLINE Chunk load_chunk(const Bf16* from) {
  simd::Words words;
  std::memcpy(&words, from, sizeof(words));
  return {std::bit_cast<Floats>(words << 16), std::bit_cast<Floats>(words & 0xffff0000u)};
}

SKIPATTN_INLINE Chunk load_chunk(const int8_t* from) {
  using Pairs = int16_t __attribute__((vector_size(32)));
  Pairs pairs;
  std::memcpy(&pairs, from, sizeof(pairs));
  const simd::Ints words = __builtin_convertvector(pairs, simd::Ints);
  return {__builtin_convertvector((words << 24) >> 24, Floats), __builtin_convertvector(words >> 8, Floats)};
}

/// Sum of all lanes, pairwise, in registers.
SKIPATTN_INLINE float sum_lanes(Floats value) {
  using Eight = float __attribute__((vector_size(32)));
  using Four = float __attribute__((vector_size(16)));
  const Eight eight = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
  const Four four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const Four two = four + __builtin_shufflevector(four, four, 2, 3, 0, 1);
  return two[0] + two[1];
}

/// Where number i of a row lies in the ordered row.
inline int64_t ordered_place(Dtype dtype, int64_t i) {
  if (dtype == Dtype::kFp32) return i;
  const int64_t within = i % kChunk;
  return i - within + within / 2 + (within % 2) * (kChunk / 2);
}

/// ordered[padded(count)] = numbers[count] in order; zeros in the padding.
void to_order(Dtype dtype, const float* numbers, int64_t count, float* ordered);

/// The way back: numbers[count].
inline void from_order(Dtype dtype, const float* ordered, int64_t count, float* numbers) {
  for (int64_t i = 0; i < count; ++i) numbers[i] = ordered[ordered_place(dtype, i)];
}

/// Rounds a row to what is stored; int8 gives its scale (the largest magnitude is 127), the others 1.
float store_row(Dtype dtype, const float* numbers, int64_t count, void* to);
/// numbers = the stored row * scale.
void load_row(Dtype dtype, const void* from, float scale, int64_t count, float* numbers);

}  // namespace skipattn::inference::cpu
