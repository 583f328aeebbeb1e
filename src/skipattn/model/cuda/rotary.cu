// A thread turns four pairs of one head (one where they do not lie so).
#include "skipattn/model/cuda/rotary.h"

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::load;
using skipattn::cuda::split;
using skipattn::cuda::store;

constexpr int kThreads = 256;

template <typename T, int kPack>
__global__ void rotate_kernel(RotaryRows r) {
  const int64_t number = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kPack;
  const auto [heads_before, pair] = split(number, r.half);
  const auto [row, head] = split(heads_before, r.heads);
  if (row >= r.rows) return;
  T* first = static_cast<T*>(r.x) + row * r.stride + head * 2 * r.half + pair;
  const float* angles = r.table + r.positions[row] * 2 * r.half + pair;
  float a[kPack], b[kPack], cosine[kPack], sine[kPack];
  load(a, first);
  load(b, first + r.half);
  load(cosine, angles);
  load(sine, angles + r.half);
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const float s = r.back ? -sine[i] : sine[i], turned = a[i] * cosine[i] - b[i] * s;
    b[i] = b[i] * cosine[i] + a[i] * s;
    a[i] = turned;
  }
  store(first, a);
  store(first + r.half, b);
}

}  // namespace

void rotate_rows(const RotaryRows& r, Stream stream) {
  const int64_t pairs = r.rows * r.heads * r.half;
  with_type(r.bf16, [&](auto element) {
    using T = decltype(element);
    const T* x = static_cast<const T*>(r.x);
    const bool fit = skipattn::cuda::packs_fit(x, r.half, 4) && skipattn::cuda::packs_fit(x, r.stride, 4) &&
                     skipattn::cuda::packs_fit(r.table, r.half, 4);
    if (fit)
      launch(rotate_kernel<T, 4>, {skipattn::cuda::blocks_for(pairs / 4, kThreads), kThreads}, stream, r);
    else
      launch(rotate_kernel<T, 1>, {skipattn::cuda::blocks_for(pairs, kThreads), kThreads}, stream, r);
  });
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
