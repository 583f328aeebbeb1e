// A block norms a row and holds it in registers: every number is read once and written once. In the backward pass a block
// takes every gridDim-th row, so that the sums over rows stay in its registers too.
#include "skipattn/model/cuda/layer_norm.h"

#include "skipattn/core/cuda/reduce.h"
#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::load;
using skipattn::cuda::packs_fit;
using skipattn::cuda::reduce_block;
using skipattn::cuda::store;
using skipattn::cuda::Sum;

constexpr int64_t kMostBlocks = 512;

/// The most threads that cut_row() gives rows of so many packs a thread.
constexpr int most_threads(int packs) {
  return packs < 8 ? 256 : 1024;
}

/// The first column of this thread's pack `pack`.
template <int kPack>
__device__ __forceinline__ int64_t column_of(int pack) {
  return (static_cast<int64_t>(pack) * blockDim.x + threadIdx.x) * kPack;
}

template <typename T, int kPack, int kPacks>
__global__ void __launch_bounds__(most_threads(kPacks)) forward_kernel(NormForwardRows f) {
  __shared__ float shared[32];
  const int64_t row = blockIdx.x, start = row * f.width;
  float x[kPacks][kPack] = {};
  float sum = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = column_of<kPack>(p);
    if (column >= f.width) continue;
    load(x[p], f.residual + start + column);
    if (f.branch != nullptr) {
      float branch[kPack];
      load(branch, static_cast<const T*>(f.branch) + start + column);
      for (int i = 0; i < kPack; ++i) x[p][i] += branch[i];
      store(f.sum + start + column, x[p]);
    }
    for (int i = 0; i < kPack; ++i) sum += x[p][i];
  }
  const float width = static_cast<float>(f.width);
  const float mean = f.centred ? reduce_block<Sum>(sum, shared) / width : 0.0f;
  float squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    if (column_of<kPack>(p) >= f.width) continue;
    for (int i = 0; i < kPack; ++i) squares += (x[p][i] - mean) * (x[p][i] - mean);
  }
  const float rstd = rsqrtf(reduce_block<Sum>(squares, shared) / width + f.epsilon);
  if (threadIdx.x == 0) {
    f.statistics[2 * row] = mean;
    f.statistics[2 * row + 1] = rstd;
  }
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = column_of<kPack>(p);
    if (column >= f.width) continue;
    float weight[kPack], bias[kPack] = {};
    load(weight, f.weight + column);
    if (f.bias != nullptr) load(bias, f.bias + column);
    for (int i = 0; i < kPack; ++i) x[p][i] = (x[p][i] - mean) * rstd * weight[i] + bias[i];
    store(static_cast<T*>(f.normed) + start + column, x[p]);
  }
}

/// What a thread of the backward kernel holds: sums over its block's rows.
template <int kPack, int kPacks>
struct Sums {
  float weight[kPacks][kPack] = {};
  float bias[kPacks][kPack] = {};
  float rounded[kPacks][kPack] = {};
};

template <typename T, int kPack, int kPacks>
__device__ __forceinline__ void backward_row(const NormBackwardRows& b, int64_t row, Sums<kPack, kPacks>& sums,
                                             float* shared) {
  const int64_t start = row * b.width;
  const float mean = b.statistics[2 * row], rstd = b.statistics[2 * row + 1];
  float x[kPacks][kPack] = {}, g[kPacks][kPack] = {};  // the normed row before weight and bias, and its gradient
  float gradient[kPacks][kPack] = {};                  // asked for with the rest, not after the sums over the row
  float total = 0, product = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = column_of<kPack>(p);
    if (column >= b.width) continue;
    float weight[kPack], bias[kPack] = {}, again[kPack];
    load(x[p], b.input + start + column);
    load(g[p], static_cast<const T*>(b.normed_gradient) + start + column);
    load(weight, b.weight + column);
    if (b.bias != nullptr) load(bias, b.bias + column);
    if (!b.first) load(gradient[p], b.gradient + start + column);
    for (int i = 0; i < kPack; ++i) {
      x[p][i] = (x[p][i] - mean) * rstd;
      again[i] = x[p][i] * weight[i] + bias[i];
      sums.weight[p][i] += g[p][i] * x[p][i];
      sums.bias[p][i] += g[p][i];
      g[p][i] *= weight[i];
      total += g[p][i];
      product += g[p][i] * x[p][i];
    }
    if (b.normed != nullptr) store(static_cast<T*>(b.normed) + start + column, again);
  }
  const float width = static_cast<float>(b.width);
  total = b.centred ? reduce_block<Sum>(total, shared) / width : 0.0f;
  product = reduce_block<Sum>(product, shared) / width;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = column_of<kPack>(p);
    if (column >= b.width) continue;
    for (int i = 0; i < kPack; ++i) {
      gradient[p][i] += rstd * (g[p][i] - total - x[p][i] * product);
      sums.rounded[p][i] += gradient[p][i];
    }
    store(b.gradient + start + column, gradient[p]);
    if (b.rounded != nullptr) store(static_cast<T*>(b.rounded) + start + column, gradient[p]);
  }
}

template <typename T, int kPack, int kPacks>
__global__ void __launch_bounds__(most_threads(kPacks)) backward_kernel(NormBackwardRows b) {
  __shared__ float shared[32];
  Sums<kPack, kPacks> sums;
  for (int64_t row = blockIdx.x; row < b.rows; row += gridDim.x) backward_row<T>(b, row, sums, shared);
  float* part = b.parts + blockIdx.x * 2 * b.width;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    const int64_t column = column_of<kPack>(p);
    if (column >= b.width) continue;
    store(part + column, sums.weight[p]);
    store(part + b.width + column, sums.bias[p]);
    if (b.rounded_parts != nullptr) store(b.rounded_parts + blockIdx.x * b.width + column, sums.rounded[p]);
  }
}

}  // namespace

void norm_rows_forward(const NormForwardRows& f, Stream stream) {
  with_type(f.bf16, [&](auto element) {
    using T = decltype(element);
    const bool fit = packs_fit(f.residual, f.width, 4) && packs_fit(f.sum, f.width, 4) &&
                     packs_fit(f.weight, f.width, 4) && packs_fit(f.bias, f.width, 4) &&
                     packs_fit(static_cast<const T*>(f.branch), f.width, 4) &&
                     packs_fit(static_cast<const T*>(f.normed), f.width, 4);
    with_row_cut(f.width, fit, [&](auto pack, auto packs, int threads) {
      launch(forward_kernel<T, pack(), packs()>, {f.rows, threads}, stream, f);
    });
  });
}

int64_t norm_rows_backward(const NormBackwardRows& b, Stream stream) {
  const int64_t blocks = std::min(b.rows, kMostBlocks);
  with_type(b.bf16, [&](auto element) {
    using T = decltype(element);
    const bool fit = packs_fit(b.input, b.width, 4) && packs_fit(b.gradient, b.width, 4) &&
                     packs_fit(b.weight, b.width, 4) && packs_fit(b.bias, b.width, 4) &&
                     packs_fit(b.parts, b.width, 4) && packs_fit(b.rounded_parts, b.width, 4) &&
                     packs_fit(static_cast<const T*>(b.normed_gradient), b.width, 4) &&
                     packs_fit(static_cast<const T*>(b.rounded), b.width, 4) &&
                     packs_fit(static_cast<const T*>(b.normed), b.width, 4);
    with_row_cut(b.width, fit, [&](auto pack, auto packs, int threads) {
      launch(backward_kernel<T, pack(), packs()>, {blocks, threads}, stream, b);
    });
  });
  return blocks;
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
