#include "skipattn/inference/cpu/dots.h"

#include <algorithm>

namespace skipattn::inference::cpu {

namespace {

constexpr int64_t kAhead = 4096;        // bytes that are asked for ahead of what is read
constexpr int64_t kInCache = 64 << 10;  // bytes of the matrix that stay in the cache for the next vectors
constexpr int kVectors = 4;             // vectors that one pass over the rows serves
constexpr int kRows = 3;                // rows that share what is loaded of several vectors: 24 registers of sums

/// Where rows and results of one call lie.
struct Call {
  const char* rows;
  int64_t row_bytes;
  int64_t count;  // rows
  int64_t chunks;
  const float* scales;  // of these rows, or null
  const float* vectors;
  int64_t stride;
  float* out;
  int64_t out_stride;
};

/// kTall rows from row r on times kCount vectors.
template <typename T, int kTall, int kCount>
SKIPATTN_INLINE void tile(const Call& call, int64_t r) {
  constexpr int64_t kBytes = kChunk * sizeof(T);
  const char* row = call.rows + r * call.row_bytes;
  const int64_t ahead = kTall == 1 ? kAhead : kTall * call.row_bytes;
  Floats first[kTall][kCount] = {}, second[kTall][kCount] = {};
  for (int64_t c = 0; c < call.chunks; ++c) {
    Chunk weights[kTall];
#pragma GCC unroll 4
    for (int i = 0; i < kTall; ++i) {
      const char* at = row + i * call.row_bytes + c * kBytes;
      for (int64_t line = 0; line < kBytes; line += 64) __builtin_prefetch(at + line + ahead);
      weights[i] = load_chunk(reinterpret_cast<const T*>(at));
    }
    const float* x = call.vectors + c * kChunk;
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      const Chunk numbers = {simd::load(x + v * call.stride), simd::load(x + v * call.stride + simd::kLanes)};
#pragma GCC unroll 4
      for (int i = 0; i < kTall; ++i) {
        first[i][v] += weights[i].first * numbers.first;
        second[i][v] += weights[i].second * numbers.second;
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTall; ++i) {
    const float scale = call.scales != nullptr ? call.scales[r + i] : 1.0f;
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v)
      call.out[v * call.out_stride + r + i] = scale * sum_lanes(first[i][v] + second[i][v]);
  }
}

template <typename T, int kCount>
SKIPATTN_INLINE void rows_of(const Call& call) {
  int64_t r = 0;
  if constexpr (kCount > 2)
    for (; r + kRows <= call.count; r += kRows) tile<T, kRows, kCount>(call, r);
  for (; r < call.count; ++r) tile<T, 1, kCount>(call, r);
}

template <typename T>
SKIPATTN_INLINE void rows_for(int vectors, const Call& call) {
  switch (vectors) {
    case 1:
      return rows_of<T, 1>(call);
    case 2:
      return rows_of<T, 2>(call);
    case 3:
      return rows_of<T, 3>(call);
    default:
      return rows_of<T, kVectors>(call);
  }
}

SKIPATTN_SIMD void rows_fp32(int vectors, const Call& call) {
  rows_for<float>(vectors, call);
}
SKIPATTN_SIMD void rows_bf16(int vectors, const Call& call) {
  rows_for<Bf16>(vectors, call);
}
SKIPATTN_SIMD void rows_int8(int vectors, const Call& call) {
  rows_for<int8_t>(vectors, call);
}

}  // namespace

void dots(const MatrixView& matrix, int64_t first, int64_t rows, const Vectors& vectors, float* out,
          int64_t out_stride) {
  const auto run = matrix.dtype == Dtype::kFp32 ? rows_fp32 : matrix.dtype == Dtype::kBf16 ? rows_bf16 : rows_int8;
  const int64_t at_once = vectors.count <= kVectors ? rows : std::max<int64_t>(1, kInCache / matrix.row_bytes());
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    Call call{};
    call.rows = matrix.row(first + begin);
    call.row_bytes = matrix.row_bytes();
    call.count = std::min(at_once, rows - begin);
    call.chunks = padded(matrix.columns) / kChunk;
    call.scales = matrix.scales != nullptr ? matrix.scales + first + begin : nullptr;
    call.stride = vectors.stride;
    call.out_stride = out_stride;
    for (int64_t v = 0; v < vectors.count; v += kVectors) {
      call.vectors = vectors.data + v * vectors.stride;
      call.out = out + v * out_stride + begin;
      run(static_cast<int>(std::min<int64_t>(kVectors, vectors.count - v)), call);
    }
  }
}

}  // namespace skipattn::inference::cpu
