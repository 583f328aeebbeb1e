// A block sums 128 columns, four neighbours a thread (32 columns where they do not lie so), over its share of the rows with
// eight warps, a warp for every eighth row; where there are many rows their shares go to parts, which a second launch sums.
#include "skipattn/model/cuda/column_sums.h"

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::load;
using skipattn::cuda::store;

constexpr int kWarps = 8;
constexpr int kLanes = 32;
constexpr int64_t kRowsOfOnePart = 1024;
constexpr int64_t kMostParts = 64;

template <typename T, int kPack>
__global__ void column_sums_kernel(ColumnSums c, int64_t column_blocks, int64_t rows_of_a_part) {
  __shared__ __align__(16) float shared[kWarps][kLanes * kPack];
  const unsigned warp = threadIdx.x / kLanes, lane = threadIdx.x % kLanes;
  const int64_t part = blockIdx.x / column_blocks;
  const int64_t column = ((blockIdx.x % column_blocks) * kLanes + lane) * kPack;
  const int64_t begin = part * rows_of_a_part, limit = begin + rows_of_a_part;
  const int64_t end = limit < c.rows ? limit : c.rows;
  const T* matrix = static_cast<const T*>(c.matrix);
  float sum[kPack] = {};
  if (column < c.columns) {
#pragma unroll 8
    for (int64_t row = begin + warp; row < end; row += kWarps) {
      float x[kPack];
      load(x, matrix + row * c.stride + column);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sum[i] += x[i];
    }
  }
  store(&shared[warp][lane * kPack], sum);
  __syncthreads();
  if (warp != 0 || column >= c.columns) return;
  float* to = c.sums + part * c.columns + column;
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    for (int w = 1; w < kWarps; ++w) sum[i] += shared[w][lane * kPack + i];
    to[i] = c.add ? to[i] + sum[i] : sum[i];
  }
}

template <typename T, int kPack>
void launch_packs(const ColumnSums& call, int64_t parts, Stream stream) {
  const int64_t column_blocks = skipattn::cuda::blocks_for(call.columns, kLanes * kPack);
  const int64_t rows_of_a_part = skipattn::cuda::blocks_for(call.rows, parts);
  launch(column_sums_kernel<T, kPack>, {column_blocks * parts, kWarps * kLanes}, stream, call, column_blocks,
         rows_of_a_part);
}

void launch_sums(const ColumnSums& call, int64_t parts, Stream stream) {
  with_type(call.bf16, [&](auto element) {
    using T = decltype(element);
    const bool fit =
        skipattn::cuda::packs_fit(static_cast<const T*>(call.matrix), call.stride, 4) && call.columns % 4 == 0;
    fit ? launch_packs<T, 4>(call, parts, stream) : launch_packs<T, 1>(call, parts, stream);
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
