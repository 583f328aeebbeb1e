#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#define SKIPATTN_EMULATE_CUDA
#include "skipattn/core/cuda/launch.h"
#include "skipattn/core/cuda/reduce.h"

namespace skipattn::cuda {
namespace {

__global__ void index_kernel(int* to) {
  to[blockIdx.x * blockDim.x + threadIdx.x] = static_cast<int>(1000 * blockIdx.x + threadIdx.x + 100000 * gridDim.x);
}

TEST(Emulation, EveryThreadOfEveryBlockRunsOnce) {
  std::vector<int> found(3 * 64, -1);
  launch(index_kernel, {3, 64}, nullptr, found.data());
  for (int block = 0; block < 3; ++block)
    for (int thread = 0; thread < 64; ++thread) EXPECT_EQ(found[block * 64 + thread], 300000 + 1000 * block + thread);
}

__global__ void sum_kernel(const float* from, float* sums, float* maxima) {
  __shared__ float shared[32];
  const float x = from[blockIdx.x * blockDim.x + threadIdx.x];
  const float sum = reduce_block<Sum>(x, shared), maximum = reduce_block<Maximum>(x, shared);
  sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
  maxima[blockIdx.x * blockDim.x + threadIdx.x] = maximum;
}

TEST(Emulation, BlocksReduceOverTheirWarps) {
  for (const int threads : {32, 96, 1024, 64}) {
    std::vector<float> from(2 * threads), sums(from.size()), maxima(from.size());
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>((i * 7919) % 257) - 300.0f;
    launch(sum_kernel, {2, threads}, nullptr, from.data(), sums.data(), maxima.data());
    for (int block = 0; block < 2; ++block) {
      float sum = 0, maximum = -1e9f;
      for (int i = 0; i < threads; ++i) {
        sum += from[block * threads + i];
        maximum = std::max(maximum, from[block * threads + i]);
      }
      for (int i = 0; i < threads; ++i) {
        EXPECT_EQ(sums[block * threads + i], sum);
        EXPECT_EQ(maxima[block * threads + i], maximum);
      }
    }
  }
}

__global__ void lopsided_kernel(int*) {
  if (threadIdx.x < 40) __syncthreads();
}
__global__ void crossed_kernel(int*) {
  if (threadIdx.x < 16)
    __syncthreads();
  else
    __syncwarp();
}

TEST(Emulation, BarriersThatNotAllThreadsReachAreErrors) {
  EXPECT_THROW(launch(lopsided_kernel, {1, 64}, nullptr, static_cast<int*>(nullptr)), std::logic_error);
  EXPECT_THROW(launch(crossed_kernel, {1, 32}, nullptr, static_cast<int*>(nullptr)), std::logic_error);
}

TEST(Emulation, BlocksHaveWholeWarps) {
  EXPECT_THROW(launch(index_kernel, {1, 33}, nullptr, static_cast<int*>(nullptr)), std::logic_error);
}

}  // namespace
}  // namespace skipattn::cuda
