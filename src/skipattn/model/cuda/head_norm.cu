// A warp norms a head; lane i holds elements i, i + 32, … of it.
#include "skipattn/model/cuda/head_norm.h"

#include "skipattn/core/cuda/reduce.h"
#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::from_float;
using skipattn::cuda::reduce_warp;
using skipattn::cuda::Sum;
using skipattn::cuda::to_float;

constexpr int kMostWidth = 256;
constexpr int kSteps = kMostWidth / 32;
constexpr int kWarps = 8;
constexpr int64_t kMostBlocks = 512;

/// Element `step` of this lane; false past the end of the head.
__device__ __forceinline__ bool element_of(const HeadNormRows& h, int step, int64_t& element) {
  element = step * 32 + threadIdx.x % 32;
  return element < h.head_width;
}

__device__ __forceinline__ float inverse_root(const HeadNormRows& h, const float (&x)[kSteps]) {
  float squares = 0;
#pragma unroll
  for (int s = 0; s < kSteps; ++s) squares += x[s] * x[s];
  return rsqrtf(reduce_warp<Sum>(squares) / static_cast<float>(h.head_width) + h.epsilon);
}

template <typename T>
__global__ void forward_kernel(HeadNormRows h) {
  const int64_t head = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (head >= h.rows * h.heads) return;  // the whole warp
  T* x = static_cast<T*>(h.x) + head / h.heads * h.x_stride + head % h.heads * h.head_width;
  T* kept = static_cast<T*>(h.kept) + head / h.heads * h.kept_stride + head % h.heads * h.head_width;
  float values[kSteps] = {};
  int64_t element = 0;
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) {
      values[s] = to_float(x[element]);
      kept[element] = x[element];
    }
  const float scale = inverse_root(h, values);
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) x[element] = from_float<T>(values[s] * scale * h.weight[element]);
}

/// One head's gradient in place; adds to the sums of the weight's gradient.
template <typename T>
__device__ __forceinline__ void backward_head(const HeadNormRows& h, int64_t head, float (&sums)[kSteps]) {
  T* gradient = static_cast<T*>(h.x) + head / h.heads * h.x_stride + head % h.heads * h.head_width;
  const T* kept = static_cast<const T*>(h.kept) + head / h.heads * h.kept_stride + head % h.heads * h.head_width;
  float values[kSteps] = {}, g[kSteps] = {};
  int64_t element = 0;
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) values[s] = to_float(kept[element]);
  const float scale = inverse_root(h, values);
  float product = 0;
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) {
      values[s] *= scale;
      const float dy = to_float(gradient[element]);
      sums[s] += dy * values[s];
      g[s] = dy * h.weight[element];
      product += g[s] * values[s];
    }
  product = reduce_warp<Sum>(product) / static_cast<float>(h.head_width);
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) gradient[element] = from_float<T>(scale * (g[s] - values[s] * product));
}

template <typename T>
__global__ void backward_kernel(HeadNormRows h) {
  __shared__ float shared[kWarps][kMostWidth];
  const unsigned warp = threadIdx.x / 32;
  float sums[kSteps] = {};
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t head = static_cast<int64_t>(blockIdx.x) * kWarps + warp; head < h.rows * h.heads; head += step)
    backward_head<T>(h, head, sums);
  int64_t element = 0;
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    if (element_of(h, s, element)) shared[warp][element] = sums[s];
  __syncthreads();
  if (threadIdx.x >= h.head_width) return;
  float total = 0;
  for (int w = 0; w < kWarps; ++w) total += shared[w][threadIdx.x];
  h.parts[blockIdx.x * h.head_width + threadIdx.x] = total;
}

int64_t blocks_of(const HeadNormRows& h) {
  if (h.head_width > kMostWidth)
    throw RunError("heads of {} elements are too wide for the head norm's CUDA kernel", h.head_width);
  return skipattn::cuda::blocks_for(h.rows * h.heads, kWarps);
}

}  // namespace

void head_norm_rows_forward(const HeadNormRows& h, Stream stream) {
  with_type(h.bf16, [&](auto element) {
    launch(forward_kernel<decltype(element)>, {blocks_of(h), kWarps * 32}, stream, h);
  });
}

int64_t head_norm_rows_backward(const HeadNormRows& h, Stream stream) {
  const int64_t blocks = std::min(blocks_of(h), kMostBlocks);
  with_type(h.bf16, [&](auto element) {
    launch(backward_kernel<decltype(element)>, {blocks, kWarps * 32}, stream, h);
  });
  return blocks;
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
