#include "skipattn/inference/cpu/attend_cached.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace skipattn::inference::cpu {

namespace {

constexpr int kLanes = simd::kLanes;
constexpr float kNothing = -1e30f;  // a maximum over no keys; finite, so that differences are numbers

// Sums of pairs of neighbouring runs of W lanes: the first run of each pair from a, the second from b.
#define SKIPATTN_COMBINE(name, ...)                 \
  SKIPATTN_INLINE Floats name(Floats a, Floats b) { \
    return __builtin_shufflevector(a, b, __VA_ARGS__)
#define SKIPATTN_PLUS(...)                     \
  +__builtin_shufflevector(a, b, __VA_ARGS__); \
  }
SKIPATTN_COMBINE(combine8, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
SKIPATTN_PLUS(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
SKIPATTN_COMBINE(combine4, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
SKIPATTN_PLUS(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
SKIPATTN_COMBINE(combine2, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
SKIPATTN_PLUS(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
SKIPATTN_COMBINE(combine1, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
SKIPATTN_PLUS(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#undef SKIPATTN_COMBINE
#undef SKIPATTN_PLUS

/// Lane i: the sum of v[i]'s lanes.
SKIPATTN_INLINE Floats sums_of(Floats* v) {
  for (int i = 0; i < 8; ++i) v[i] = combine8(v[i], v[i + 8]);
  for (int i = 0; i < 4; ++i) v[i] = combine4(v[i], v[i + 4]);
  for (int i = 0; i < 2; ++i) v[i] = combine2(v[i], v[i + 2]);
  return combine1(v[0], v[1]);
}

SKIPATTN_INLINE void prefetch_bytes(const char* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i);
}

/// The rows that come after these, to be asked for meanwhile; the same ones where none do.
struct Next {
  const char* keys;
  const char* values;
};

/// Scores of 16 / kQueries neighbouring keys, the first of them at `keys`, for each of the queries: lane 0 … for the first
/// query, and so on.
template <typename T, int kQueries>
SKIPATTN_INLINE Floats score_keys(const T* keys, int64_t head_width, const float* query, int64_t stride) {
  constexpr int kKeys = kLanes / kQueries;
  Floats sums[kLanes] = {};
  for (int64_t c = 0; c < head_width; c += kChunk) {
    Floats first[kQueries], second[kQueries];
#pragma GCC unroll 4
    for (int q = 0; q < kQueries; ++q) {
      first[q] = simd::load(query + q * stride + c);
      second[q] = simd::load(query + q * stride + c + kLanes);
    }
#pragma GCC unroll 16
    for (int j = 0; j < kKeys; ++j) {
      const Chunk key = load_chunk(keys + j * head_width + c);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        sums[q * kKeys + j] += key.first * first[q];
        sums[q * kKeys + j] += key.second * second[q];
      }
    }
  }
  return sums_of(sums);
}

/// scores[kQueries][kBlockRows] of the rows, from the group of 16 on that the first is in.
template <typename T, int kQueries>
SKIPATTN_INLINE void score_rows(const CachedRows& rows, const Next& next, int64_t head_width, const float* query,
                                float* scores) {
  constexpr int kKeys = kLanes / kQueries;
  const int64_t stride = padded(head_width), row_bytes = head_width * static_cast<int64_t>(sizeof(T));
  for (int j = rows.begin / kLanes * kLanes; j < rows.end; j += kKeys) {
    prefetch_bytes(next.keys + j * row_bytes, kKeys * row_bytes);
    const Floats some =
        score_keys<T, kQueries>(static_cast<const T*>(rows.keys) + j * head_width, head_width, query, stride);
    if constexpr (kQueries == 1) {
      simd::store(scores + j, some);
    } else {
      float lanes[kLanes];
      simd::store(lanes, some);
      for (int q = 0; q < kQueries; ++q)
        std::memcpy(scores + q * kBlockRows + j, lanes + q * kKeys, kKeys * sizeof(float));
    }
  }
}

/// weighted[kQueries][stride] += weights[kQueries][kBlockRows] times the values, kChunks chunks of the head's width.
template <typename T, int kQueries, int kChunks>
SKIPATTN_INLINE void add_values(const CachedRows& rows, const char* next, int64_t head_width, int64_t c,
                                const float* weights, float* weighted, int64_t stride) {
  Floats sums[kQueries][2 * kChunks];
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 4
    for (int i = 0; i < 2 * kChunks; ++i) sums[q][i] = simd::load(weighted + q * stride + c + i * kLanes);
  const T* values = static_cast<const T*>(rows.values) + c;
  for (int j = rows.begin; j < rows.end; ++j) {
    prefetch_bytes(next + (j * head_width + c) * sizeof(T), kChunks * kChunk * sizeof(T));
#pragma GCC unroll 2
    for (int i = 0; i < kChunks; ++i) {
      const Chunk value = load_chunk(values + j * head_width + i * kChunk);
#pragma GCC unroll 4
      for (int q = 0; q < kQueries; ++q) {
        sums[q][2 * i] += value.first * weights[q * kBlockRows + j];
        sums[q][2 * i + 1] += value.second * weights[q * kBlockRows + j];
      }
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kQueries; ++q)
#pragma GCC unroll 4
    for (int i = 0; i < 2 * kChunks; ++i) simd::store(weighted + q * stride + c + i * kLanes, sums[q][i]);
}

template <typename T, int kQueries>
SKIPATTN_INLINE void add_all_values(const CachedRows& rows, const Next& next, int64_t head_width, const float* weights,
                                    float* weighted) {
  const int64_t stride = padded(head_width);
  int64_t c = 0;
  for (; c + 2 * kChunk <= stride; c += 2 * kChunk)
    add_values<T, kQueries, 2>(rows, next.values, head_width, c, weights, weighted, stride);
  if (c < stride) add_values<T, kQueries, 1>(rows, next.values, head_width, c, weights, weighted, stride);
}

SKIPATTN_INLINE float largest_lane(Floats value) {
  using Eight = float __attribute__((vector_size(32)));
  using Four = float __attribute__((vector_size(16)));
  const Eight low = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7);
  const Eight high = __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
  const Eight eight = low > high ? low : high;
  const Four first = __builtin_shufflevector(eight, eight, 0, 1, 2, 3);
  const Four second = __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  const Four four = first > second ? first : second;
  return std::max(std::max(four[0], four[1]), std::max(four[2], four[3]));
}

/// Puts weights in place of one query's scores; keeps largest and sum running and says by what the sums so far must be
/// multiplied.
SKIPATTN_INLINE float weigh_rows(const CachedRows& rows, float* weights, float& largest, float& sum) {
  const int begin = rows.begin / kLanes * kLanes;
  Floats top = simd::splat(kNothing);
  const simd::Ints lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  for (int j = begin; j < rows.end; j += kLanes) {
    Floats scores = simd::load(weights + j);
    if (rows.key_scales != nullptr) scores *= simd::load(rows.key_scales + j);
    if (j < rows.begin || j + kLanes > rows.end)
      scores = ((lane + j >= rows.begin) & (lane + j < rows.end)) ? scores : simd::splat(kNothing);
    simd::store(weights + j, scores);
    top = simd::max(top, scores);
  }
  const float before = largest;
  largest = std::max(before, largest_lane(top));
  Floats total{};
  for (int j = begin; j < rows.end; j += kLanes) {
    const Floats scores = simd::load(weights + j);
    const Floats weight = scores > kNothing ? simd::exp(scores - largest) : simd::splat(0.0f);
    total += weight;
    simd::store(weights + j, rows.value_scales != nullptr ? weight * simd::load(rows.value_scales + j) : weight);
  }
  if (before == largest) {
    sum += sum_lanes(total);
    return 1.0f;
  }
  const float factor = before == kNothing ? 0.0f : std::exp(before - largest);
  sum = sum * factor + sum_lanes(total);
  return factor;
}

SKIPATTN_INLINE void scale_by(float* numbers, int64_t count, float factor) {
  for (int64_t i = 0; i < count; i += kLanes) simd::store(numbers + i, simd::load(numbers + i) * factor);
}

/// kQueries queries from `q` on against some rows.
template <typename T, int kQueries>
SKIPATTN_INLINE void attend_stretch(const AttendCall& call, const CachedRows& rows, const Next& next, int64_t q) {
  alignas(64) float weights[kQueries * kBlockRows];
  const int64_t stride = padded(call.head_width);
  score_rows<T, kQueries>(rows, next, call.head_width, call.query + q * stride, weights);
  for (int k = 0; k < kQueries; ++k) {
    const float factor = weigh_rows(rows, weights + k * kBlockRows, call.result.largest[q + k], call.result.sum[q + k]);
    if (factor != 1.0f) scale_by(call.result.weighted + (q + k) * stride, stride, factor);
  }
  add_all_values<T, kQueries>(rows, next, call.head_width, weights, call.result.weighted + q * stride);
}

template <typename T>
SKIPATTN_INLINE void attend_rows(const AttendCall& call) {
  constexpr int kTogether = 4;  // queries that share one look at keys and values
  const CachedRows& following = call.next.keys != nullptr ? call.next : call.rows;
  const Next next = {static_cast<const char*>(following.keys), static_cast<const char*>(following.values)};
  int64_t q = 0;
  for (; q + kTogether <= call.queries; q += kTogether) attend_stretch<T, kTogether>(call, call.rows, next, q);
  for (; q < call.queries; ++q) attend_stretch<T, 1>(call, call.rows, next, q);
}

SKIPATTN_SIMD void add_scaled(float* sums, const float* numbers, float factor, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    simd::store(sums + i, simd::load(sums + i) + simd::load(numbers + i) * factor);
}

SKIPATTN_SIMD void attend_fp32(const AttendCall& call) {
  attend_rows<float>(call);
}
SKIPATTN_SIMD void attend_bf16(const AttendCall& call) {
  attend_rows<Bf16>(call);
}
SKIPATTN_SIMD void attend_int8(const AttendCall& call) {
  attend_rows<int8_t>(call);
}

}  // namespace

void begin_attended(const AttendCall& call) {
  std::fill_n(call.result.largest, call.queries, kNothing);
  std::fill_n(call.result.sum, call.queries, 0.0f);
  std::fill_n(call.result.weighted, call.queries * padded(call.head_width), 0.0f);
}

void attend_cached(const AttendCall& call) {
  (call.dtype == Dtype::kFp32 ? attend_fp32 : call.dtype == Dtype::kBf16 ? attend_bf16 : attend_int8)(call);
}

void merge_parts(const MergeCall& call, float* output) {
  float largest = kNothing;
  for (int64_t i = 0; i < call.count; ++i) largest = std::max(largest, call.largest[i * call.stride]);
  float total = 0;
  for (int64_t i = 0; i < call.count; ++i)
    if (call.sum[i * call.stride] > 0)
      total += std::exp(call.largest[i * call.stride] - largest) * call.sum[i * call.stride];
  constexpr int64_t kStretch = 8 * kChunk;  // numbers of the head's width at once
  for (int64_t begin = 0; begin < call.head_width; begin += kStretch) {
    alignas(64) float sums[kStretch] = {};
    const int64_t width = std::min(kStretch, padded(call.head_width) - begin);
    for (int64_t i = 0; i < call.count; ++i) {
      if (call.sum[i * call.stride] <= 0) continue;
      const float factor = std::exp(call.largest[i * call.stride] - largest) / total;
      add_scaled(sums, call.weighted + i * call.weighted_stride + begin, factor, width);
    }
    from_order(call.dtype, sums, std::min(kStretch, call.head_width - begin), output + begin);
  }
}

}  // namespace skipattn::inference::cpu
