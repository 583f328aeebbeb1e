#include "skipattn/model/cuda/embedding.h"

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::blocks_for;
using skipattn::cuda::load;
using skipattn::cuda::packs_fit;
using skipattn::cuda::split;
using skipattn::cuda::store;

constexpr int kThreads = 256;

template <typename T, int kPack>
__global__ void embed_kernel(EmbedRows e) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kPack;
  if (at >= e.rows * e.width) return;
  const auto [row, column] = split(at, e.width);
  float sum[kPack], position[kPack] = {};
  load(sum, static_cast<const T*>(e.token_table) + e.tokens[row] * e.width + column);
  if (e.position_table != nullptr)
    load(position, static_cast<const T*>(e.position_table) + e.positions[row] * e.width + column);
#pragma unroll
  for (int i = 0; i < kPack; ++i) sum[i] += position[i];
  store(e.residual + at, sum);
}

/// A block for every row: the first of an id adds up all of that id's, the others have nothing to do.
template <int kPack>
__global__ void gradient_kernel(EmbeddingGradient e) {
  const int64_t first = blockIdx.x, id = e.sorted_ids[first];
  if (first > 0 && e.sorted_ids[first - 1] == id) return;
  int64_t end = first + 1;
  while (end < e.rows && e.sorted_ids[end] == id) ++end;
  for (int64_t column = threadIdx.x * kPack; column < e.width; column += blockDim.x * kPack) {
    float sum[kPack] = {};
#pragma unroll 4
    for (int64_t i = first; i < end; ++i) {
      float x[kPack];
      load(x, e.gradient + e.order[i] * e.width + column);
#pragma unroll
      for (int j = 0; j < kPack; ++j) sum[j] += x[j];
    }
    float* to = e.table + id * e.width + column;
    float before[kPack];
    load(before, to);
#pragma unroll
    for (int j = 0; j < kPack; ++j) sum[j] += before[j];
    store(to, sum);
  }
}

}  // namespace

void embed_rows(const EmbedRows& e, Stream stream) {
  const int64_t count = e.rows * e.width;
  with_type(e.bf16, [&](auto element) {
    using T = decltype(element);
    const bool fit = packs_fit(static_cast<const T*>(e.token_table), e.width, 4) &&
                     packs_fit(static_cast<const T*>(e.position_table), e.width, 4) &&
                     packs_fit(e.residual, e.width, 4);
    if (fit)
      launch(embed_kernel<T, 4>, {blocks_for(count / 4, kThreads), kThreads}, stream, e);
    else
      launch(embed_kernel<T, 1>, {blocks_for(count, kThreads), kThreads}, stream, e);
  });
}

void add_embedding_rows(const EmbeddingGradient& e, Stream stream) {
  const bool fit = packs_fit(e.table, e.width, 4) && packs_fit(e.gradient, e.width, 4);
  if (fit)
    launch(gradient_kernel<4>, {e.rows, kThreads}, stream, e);
  else
    launch(gradient_kernel<1>, {e.rows, kThreads}, stream, e);
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
