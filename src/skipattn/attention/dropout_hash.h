// Which attention weights dropout drops: a pure function of the seed and the weight's place, so
// that tiles, threads and the backward pass all agree without storing a mask. 32-bit
// multiplications and xor-shifts only, which SIMD does well; the two-multiplication finaliser with
// these constants is lowbias32 (C. Wellons, "hash-prospector").
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SKIPATTN_ON_EVERY_DEVICE __host__ __device__
#else
#define SKIPATTN_ON_EVERY_DEVICE
#endif

namespace skipattn::attention {

inline constexpr uint32_t kHashStart = 0x9e3779b9u;  ///< 2^32 / golden ratio; also spreads the key index
inline constexpr uint32_t kHashMultiply1 = 0x7feb352du;
inline constexpr uint32_t kHashMultiply2 = 0x846ca68bu;

SKIPATTN_ON_EVERY_DEVICE inline uint32_t mix_bits(uint32_t x) {
  x ^= x >> 16;
  x *= kHashMultiply1;
  x ^= x >> 15;
  x *= kHashMultiply2;
  x ^= x >> 16;
  return x;
}

/// One row of weights: those of one query, over the keys of one pair.
struct WeightRow {
  int64_t seed = 0;
  int64_t batch = 0;
  int64_t head = 0;   ///< query head
  int64_t query = 0;  ///< index of the query, 0..T-1 (not its position)
  int64_t pair = 0;   ///< index of the pair in its KV head's list
};

SKIPATTN_ON_EVERY_DEVICE inline uint32_t hash_row(const WeightRow& row) {
  uint32_t hash = mix_bits(static_cast<uint32_t>(row.seed) ^ kHashStart);
  hash = mix_bits(hash ^ static_cast<uint32_t>(static_cast<uint64_t>(row.seed) >> 32));
  hash = mix_bits(hash ^ static_cast<uint32_t>(row.batch));
  hash = mix_bits(hash ^ static_cast<uint32_t>(row.head));
  hash = mix_bits(hash ^ static_cast<uint32_t>(row.query));
  return mix_bits(hash ^ static_cast<uint32_t>(row.pair));
}

/// 32 random bits for the weight of key `key` in the row; it is dropped when they are below
/// drop_threshold(p).
SKIPATTN_ON_EVERY_DEVICE inline uint32_t hash_weight(uint32_t row_hash, uint32_t key) {
  return mix_bits(row_hash ^ (key * kHashStart));
}

/// floor(p * 2^32) for p in [0, 1).
SKIPATTN_ON_EVERY_DEVICE inline uint32_t drop_threshold(double p) {
  return static_cast<uint32_t>(p * 4294967296.0);
}

}  // namespace skipattn::attention
