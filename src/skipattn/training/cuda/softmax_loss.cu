// A block takes a row, twice: maximum and sum at once, each thread with a running maximum of its own (Milakov & Gimelshein
// 2018), then the gradient, which finds the row in the second-level cache.
#include "skipattn/training/cuda/softmax_loss.h"

#include "skipattn/core/cuda/elements.h"
#include "skipattn/core/cuda/reduce.h"

namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::load;
using skipattn::cuda::Maximum;
using skipattn::cuda::reduce_block;
using skipattn::cuda::store;
using skipattn::cuda::Sum;

constexpr int kMostThreads = 512;
constexpr float kLowest = -3.402823466e38f;  // finite, so that a difference from it is a number

/// Sum of exp(x - maximum) so far.
struct Running {
  float maximum = kLowest;
  float sum = 0;
};

/// `count` within [-1, kPack], in 32 bits.
template <int kPack>
__device__ __forceinline__ int elements_left(int64_t count) {
  return count < 0 ? -1 : count < kPack ? static_cast<int>(count) : kPack;
}

/// A NaN passes the comparisons by and reaches the sum.
template <int kPack>
__device__ __forceinline__ void take(Running& running, const float (&x)[kPack], int count) {
  float most = running.maximum;
#pragma unroll
  for (int i = 0; i < kPack; ++i) most = i < count && x[i] > most ? x[i] : most;
  running.sum *= __expf(running.maximum - most);
  running.maximum = most;
#pragma unroll
  for (int i = 0; i < kPack; ++i) running.sum += i < count ? __expf(x[i] - most) : 0.0f;
}

template <typename T, int kPack>
__device__ __forceinline__ void write_gradient(const LossRows& r, T* row, float maximum, float factor) {
  const int64_t target = r.targets[blockIdx.x];
  const float scale = *r.gradient_scale;
#pragma unroll 4
  for (int64_t at = threadIdx.x * kPack; at < r.stride; at += static_cast<int64_t>(blockDim.x) * kPack) {
    float x[kPack];
    load(x, row + at);
    const int left = elements_left<kPack>(r.vocabulary - at), hit = elements_left<kPack>(target - at);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      x[i] = i < left ? __expf(x[i] - maximum) * factor : 0.0f;
      if (i == hit) x[i] -= scale;
    }
    store(row + at, x);
  }
}

template <typename T, int kPack>
__device__ __forceinline__ void write_zeros(const LossRows& r, T* row) {
  const float zeros[kPack] = {};
  for (int64_t at = threadIdx.x * kPack; at < r.stride; at += static_cast<int64_t>(blockDim.x) * kPack)
    store(row + at, zeros);
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kMostThreads) softmax_loss_kernel(LossRows r) {
  __shared__ float shared[32];
  T* row = static_cast<T*>(r.logits) + blockIdx.x * r.stride;
  const int64_t target = r.targets[blockIdx.x];
  if (target < 0) {  // all of the block's threads
    if (threadIdx.x == 0) r.losses[blockIdx.x] = 0;
    if (r.gradient_scale != nullptr) write_zeros<T, kPack>(r, row);
    return;
  }
  const float target_score = skipattn::cuda::to_float(row[target]);  // before anybody writes
  Running running;
#pragma unroll 4
  for (int64_t at = threadIdx.x * kPack; at < r.vocabulary; at += static_cast<int64_t>(blockDim.x) * kPack) {
    float x[kPack];
    load(x, row + at);
    take(running, x, elements_left<kPack>(r.vocabulary - at));
  }
  const float maximum = reduce_block<Maximum>(running.maximum, shared);
  const float sum = reduce_block<Sum>(running.sum * __expf(running.maximum - maximum), shared);
  if (threadIdx.x == 0) r.losses[blockIdx.x] = logf(sum) + maximum - target_score;
  if (r.gradient_scale != nullptr) write_gradient<T, kPack>(r, row, maximum, *r.gradient_scale / sum);
}

template <typename T, int kPack>
void launch_rows(const LossRows& r, skipattn::cuda::Stream stream) {
  const int64_t packs = skipattn::cuda::blocks_for(r.stride, kPack);
  const int64_t threads = skipattn::cuda::blocks_for(packs, 32) * 32;
  skipattn::cuda::launch(softmax_loss_kernel<T, kPack>,
                         {r.rows, threads < kMostThreads ? static_cast<int>(threads) : kMostThreads}, stream, r);
}

}  // namespace

void softmax_loss_rows(const LossRows& r, skipattn::cuda::Stream stream) {
  skipattn::cuda::with_type(r.bf16, [&](auto element) {
    using T = decltype(element);
    constexpr int kPack = 16 / sizeof(T);
    const bool fit = skipattn::cuda::packs_fit(static_cast<const T*>(r.logits), r.stride, kPack);
    fit ? launch_rows<T, kPack>(r, stream) : launch_rows<T, 1>(r, stream);
  });
}

}  // namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE
