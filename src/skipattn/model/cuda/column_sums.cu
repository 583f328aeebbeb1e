// Where there are many rows a second launch sums the parts' sums.
#include "skipattn/model/cuda/column_sums.h"

#include "skipattn/model/cuda/column_walk.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

constexpr int64_t kRowsOfOnePart = 1024;
constexpr int64_t kMostParts = 64;

template <typename T, int kNeighbours>
struct Matrix {
  static constexpr int kPack = kNeighbours, kRowsAtOnce = 8;
  const T* matrix;
  int64_t stride;
  __device__ __forceinline__ void take(int64_t row, int64_t column, float (&x)[kPack]) const {
    skipattn::cuda::load(x, matrix + row * stride + column);
  }
};

void launch_sums(const ColumnSums& call, int64_t parts, Stream stream) {
  const ColumnWalk walk = {call.rows, call.columns, parts, call.sums, call.add};
  with_type(call.bf16, [&](auto element) {
    using T = decltype(element);
    const T* matrix = static_cast<const T*>(call.matrix);
    const bool fit = skipattn::cuda::packs_fit(matrix, call.stride, 4) && call.columns % 4 == 0;
    fit ? walk_columns(Matrix<T, 4>{matrix, call.stride}, walk, stream)
        : walk_columns(Matrix<T, 1>{matrix, call.stride}, walk, stream);
  });
}

}  // namespace

int64_t column_sum_parts(int64_t rows) {
  return std::clamp<int64_t>(rows / kRowsOfOnePart, 1, kMostParts);
}

void sum_columns(const ColumnSums& call, float* parts, Stream stream) {
  const int64_t count = column_sum_parts(call.rows);
  if (count == 1) return launch_sums(call, 1, stream);
  ColumnSums first = call;
  first.sums = parts;
  first.add = false;
  launch_sums(first, count, stream);
  launch_sums({parts, count, call.columns, call.columns, false, call.sums, call.add}, 1, stream);
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
