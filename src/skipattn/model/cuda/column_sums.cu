// A block sums 32 columns over its share of the rows with eight warps, a warp for every eighth row;
// where there are many rows their shares go to parts, which a second launch sums.
#include "skipattn/model/cuda/column_sums.h"

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

constexpr int kWarps = 8;
constexpr int kColumns = 32;
constexpr int64_t kRowsOfOnePart = 1024;
constexpr int64_t kMostParts = 64;

template <typename T>
__global__ void column_sums_kernel(ColumnSums c, int64_t column_blocks, int64_t rows_of_a_part) {
  __shared__ float shared[kWarps][kColumns];
  const int64_t part = blockIdx.x / column_blocks;
  const int64_t column = (blockIdx.x % column_blocks) * kColumns + threadIdx.x % kColumns;
  const int64_t begin = part * rows_of_a_part, limit = begin + rows_of_a_part;
  const int64_t end = limit < c.rows ? limit : c.rows;
  const unsigned warp = threadIdx.x / kColumns;
  const T* matrix = static_cast<const T*>(c.matrix);
  float sum = 0;
  if (column < c.columns) {
#pragma unroll 8
    for (int64_t row = begin + warp; row < end; row += kWarps)
      sum += skipattn::cuda::to_float(matrix[row * c.stride + column]);
  }
  shared[warp][threadIdx.x % kColumns] = sum;
  __syncthreads();
  if (warp != 0 || column >= c.columns) return;
  for (int w = 1; w < kWarps; ++w) sum += shared[w][threadIdx.x];
  float* to = c.sums + part * c.columns + column;
  *to = c.add ? *to + sum : sum;
}

void launch_sums(const ColumnSums& call, int64_t parts, Stream stream) {
  const int64_t column_blocks = skipattn::cuda::blocks_for(call.columns, kColumns);
  const int64_t rows_of_a_part = skipattn::cuda::blocks_for(call.rows, parts);
  with_type(call.bf16, [&](auto element) {
    launch(column_sums_kernel<decltype(element)>, {column_blocks * parts, kWarps * kColumns}, stream, call,
           column_blocks, rows_of_a_part);
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
