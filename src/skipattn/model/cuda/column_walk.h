// A walk over a matrix that sums its columns, whatever makes the numbers on the way: a block of eight warps takes 32 packs of
// neighbouring columns and its part of the rows, a warp every eighth of them. Sums of parts lie one after the other.
#pragma once

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct ColumnWalk {
  int64_t rows, columns;
  int64_t parts;  ///< of the rows
  float* sums;    ///< [parts][columns]
  bool add;       ///< to sums instead of setting them
};

constexpr int kWalkWarps = 8;
constexpr int kWalkLanes = 32;

/// A Source has kPack and take(row, column, x): the pack of numbers that begins at this column.
template <typename Source>
__global__ void __launch_bounds__(kWalkWarps* kWalkLanes)
    walk_columns_kernel(Source source, ColumnWalk walk, int64_t column_blocks, int64_t rows_of_a_part) {
  constexpr int kPack = Source::kPack;
  __shared__ __align__(16) float shared[kWalkWarps][kWalkLanes * kPack];
  const unsigned warp = threadIdx.x / kWalkLanes, lane = threadIdx.x % kWalkLanes;
  const int64_t part = blockIdx.x / column_blocks;
  const int64_t column = ((blockIdx.x % column_blocks) * kWalkLanes + lane) * kPack;
  const int64_t begin = part * rows_of_a_part, limit = begin + rows_of_a_part;
  const int64_t end = limit < walk.rows ? limit : walk.rows;
  float sum[kPack] = {};
  if (column < walk.columns) {
#pragma unroll(Source::kRowsAtOnce)
    for (int64_t row = begin + warp; row < end; row += kWalkWarps) {
      float x[kPack];
      source.take(row, column, x);
#pragma unroll
      for (int i = 0; i < kPack; ++i) sum[i] += x[i];
    }
  }
#pragma unroll
  for (int i = 0; i < kPack; ++i) shared[warp][i * kWalkLanes + lane] = sum[i];
  __syncthreads();
  if (warp != 0 || column >= walk.columns) return;
  float* to = walk.sums + part * walk.columns + column;
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    for (int w = 1; w < kWalkWarps; ++w) sum[i] += shared[w][i * kWalkLanes + lane];
    to[i] = walk.add ? to[i] + sum[i] : sum[i];
  }
}

template <typename Source>
void walk_columns(const Source& source, const ColumnWalk& walk, Stream stream) {
  const int64_t column_blocks = skipattn::cuda::blocks_for(walk.columns, kWalkLanes * Source::kPack);
  launch(walk_columns_kernel<Source>, {column_blocks * walk.parts, kWalkWarps * kWalkLanes}, stream, source, walk,
         column_blocks, skipattn::cuda::blocks_for(walk.rows, walk.parts));
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
