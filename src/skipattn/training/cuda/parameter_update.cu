// A block takes a chunk of one parameter, whichever it is: one launch for all of them.
#include "skipattn/training/cuda/parameter_update.h"

#include "skipattn/core/cuda/elements.h"
#include "skipattn/core/cuda/reduce.h"

namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE {

namespace {

using fused::StepNumbers;
using fused::UpdateChunk;
using fused::UpdateSlot;
using skipattn::cuda::Bf16;
using skipattn::cuda::load;
using skipattn::cuda::reduce_block;
using skipattn::cuda::store;
using skipattn::cuda::Sum;

constexpr int kThreads = 256;
constexpr int kThreadsOfTotal = 1024;

/// Calls task(pack size, element) for this thread's elements of a chunk, four at a time where they lie so.
template <typename Task>
__device__ __forceinline__ void for_each_pack(const UpdateSlot& slot, const UpdateChunk& chunk, const Task& task) {
  const int64_t limit = chunk.begin + fused::kUpdateChunk, end = limit < slot.count ? limit : slot.count;
  const int64_t packed = slot.packed ? end - (end - chunk.begin) % 4 : chunk.begin;
#pragma unroll 4
  for (int64_t at = chunk.begin + threadIdx.x * 4; at < packed; at += kThreads * 4) task.template run<4>(at);
  for (int64_t at = packed + threadIdx.x; at < end; at += kThreads) task.template run<1>(at);
}

template <typename T>
struct AddSquares {
  const T* from;
  double* sum;
  template <int kPack>
  __device__ __forceinline__ void run(int64_t at) const {
    float x[kPack];
    load(x, from + at);
#pragma unroll
    for (int i = 0; i < kPack; ++i) *sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
};

__global__ void __launch_bounds__(kThreads) squares_kernel(UpdatePointers u) {
  __shared__ double shared[32];
  const UpdateChunk chunk = u.chunks[blockIdx.x];
  const UpdateSlot slot = u.slots[chunk.slot];
  double sum = 0;
  if (slot.gradient_is_bf16)
    for_each_pack(slot, chunk, AddSquares<Bf16>{static_cast<const Bf16*>(slot.gradient), &sum});
  else
    for_each_pack(slot, chunk, AddSquares<float>{static_cast<const float*>(slot.gradient), &sum});
  sum = reduce_block<Sum>(sum, shared);
  if (threadIdx.x == 0) u.sums[blockIdx.x] = sum;
}

/// One block.
__global__ void __launch_bounds__(kThreadsOfTotal) total_kernel(UpdatePointers u) {
  __shared__ double shared[32];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < u.chunk_count; i += kThreadsOfTotal) sum += u.sums[i];
  sum = reduce_block<Sum>(sum, shared);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum), clip = u.numbers->grad_clip;
  const double shrunk = clip / (norm + 1e-6);
  u.result->norm = norm;
  u.result->gradient_scale = clip > 0 && shrunk < 1.0 ? shrunk : 1.0;
  // x - x is 0 for whatever is finite.
  u.result->skipped = u.result->loss - u.result->loss == 0.0 && norm - norm == 0.0 ? 0.0 : 1.0;
}

template <typename Gradient, typename Compute>
struct UpdateElements {
  const UpdateSlot& slot;
  const StepNumbers& numbers;
  float gradient_scale, shrink;
  template <int kPack>
  __device__ __forceinline__ void run(int64_t at) const {
    float g[kPack], m[kPack], v[kPack], weight[kPack];
    load(g, static_cast<const Gradient*>(slot.gradient) + at);
    load(m, slot.first_moment + at);
    load(v, slot.second_moment + at);
    load(weight, slot.master + at);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      g[i] *= gradient_scale;
      m[i] = m[i] * numbers.beta1 + g[i] * (1.0f - numbers.beta1);
      v[i] = v[i] * numbers.beta2 + g[i] * g[i] * (1.0f - numbers.beta2);
      const float root = sqrtf(v[i]) * numbers.inverse_root_correction2 + numbers.epsilon;
      weight[i] = weight[i] * shrink - m[i] * numbers.step_size / root;
    }
    store(slot.first_moment + at, m);
    store(slot.second_moment + at, v);
    store(slot.master + at, weight);
    store(static_cast<Compute*>(slot.compute) + at, weight);  // the same value again where it is the master
  }
};

template <typename Gradient, typename Compute>
__device__ __forceinline__ void update_chunk(const UpdateSlot& slot, const UpdateChunk& chunk,
                                             const StepNumbers& numbers, float gradient_scale) {
  for_each_pack(slot, chunk,
                UpdateElements<Gradient, Compute>{slot, numbers, gradient_scale, slot.decays ? numbers.shrink : 1.0f});
}

__global__ void __launch_bounds__(kThreads) update_kernel(UpdatePointers u) {
  if (u.result->skipped != 0.0) return;
  const UpdateChunk chunk = u.chunks[blockIdx.x];
  const UpdateSlot slot = u.slots[chunk.slot];
  const StepNumbers numbers = *u.numbers;
  const float scale = static_cast<float>(u.result->gradient_scale);
  if (slot.gradient_is_bf16)
    slot.compute_is_bf16 ? update_chunk<Bf16, Bf16>(slot, chunk, numbers, scale)
                         : update_chunk<Bf16, float>(slot, chunk, numbers, scale);
  else
    slot.compute_is_bf16 ? update_chunk<float, Bf16>(slot, chunk, numbers, scale)
                         : update_chunk<float, float>(slot, chunk, numbers, scale);
}

}  // namespace

void measure_all(const UpdatePointers& u, skipattn::cuda::Stream stream) {
  skipattn::cuda::launch(squares_kernel, {u.chunk_count, kThreads}, stream, u);
  skipattn::cuda::launch(total_kernel, {1, kThreadsOfTotal}, stream, u);
}

void update_all(const UpdatePointers& u, skipattn::cuda::Stream stream) {
  skipattn::cuda::launch(update_kernel, {u.chunk_count, kThreads}, stream, u);
}

}  // namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE
