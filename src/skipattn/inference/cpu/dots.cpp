#include "skipattn/inference/cpu/dots.h"

#include <algorithm>

namespace skipattn::inference::cpu {

namespace {

constexpr int64_t kAhead = 1024;        // bytes that are asked for ahead of what is read
constexpr int64_t kInCache = 64 << 10;  // bytes of the matrix that stay in the cache for the next vectors
constexpr int kVectors = 8;             // vectors that one pass over a row serves: 16 registers of sums

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

template <typename T, int kCount>
SKIPATTN_INLINE void rows_of(const Call& call) {
  constexpr int64_t kBytes = kChunk * sizeof(T);
  for (int64_t r = 0; r < call.count; ++r) {
    const char* row = call.rows + r * call.row_bytes;
    Floats first[kCount] = {}, second[kCount] = {};
    for (int64_t c = 0; c < call.chunks; ++c) {
      for (int64_t line = 0; line < kBytes; line += 64) __builtin_prefetch(row + c * kBytes + line + kAhead);
      const Chunk weights = load_chunk(reinterpret_cast<const T*>(row) + c * kChunk);
      const float* x = call.vectors + c * kChunk;
#pragma GCC unroll 8
      for (int v = 0; v < kCount; ++v) {
        first[v] += weights.first * simd::load(x + v * call.stride);
        second[v] += weights.second * simd::load(x + v * call.stride + simd::kLanes);
      }
    }
    const float scale = call.scales != nullptr ? call.scales[r] : 1.0f;
#pragma GCC unroll 8
    for (int v = 0; v < kCount; ++v) call.out[v * call.out_stride + r] = scale * sum_lanes(first[v] + second[v]);
  }
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
    case 4:
      return rows_of<T, 4>(call);
    case 5:
      return rows_of<T, 5>(call);
    case 6:
      return rows_of<T, 6>(call);
    case 7:
      return rows_of<T, 7>(call);
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

void prefetch(const MatrixView& matrix, int64_t first, int64_t bytes) {
  const char* from = matrix.row(first);
  const int64_t end = std::min(bytes, (matrix.rows - first) * matrix.row_bytes());
  for (int64_t i = 0; i < end; i += 64) __builtin_prefetch(from + i, 0, 2);
}

}  // namespace skipattn::inference::cpu
