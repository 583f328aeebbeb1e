// Sums and maxima over the threads of a warp or a block; every thread gets the result.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::cuda {

struct Sum {
  template <typename T>
  __device__ static T join(T a, T b) {
    return a + b;
  }
  template <typename T>
  __device__ static T nothing() {
    return T{0};
  }
};

struct Maximum {
  template <typename T>
  __device__ static T join(T a, T b) {
    return a > b ? a : b;
  }
  template <typename T>
  __device__ static T nothing() {
    return -INFINITY;
  }
};

template <typename Join, typename T>
__device__ __forceinline__ T reduce_warp(T value) {
#pragma unroll
  for (unsigned lanes = 16; lanes > 0; lanes /= 2)
    value = Join::join(value, __shfl_xor_sync(0xffffffffu, value, lanes));
  return value;
}

/// All threads of the block must come here. `shared`: 32 elements of shared memory, which one call after the other may use.
template <typename Join, typename T>
__device__ __forceinline__ T reduce_block(T value, T* shared) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  value = reduce_warp<Join>(value);
  if (warps == 1) return value;
  __syncthreads();  // for those who still read the last call's results
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  return reduce_warp<Join>(lane < warps ? shared[lane] : Join::template nothing<T>());
}

}  // namespace skipattn::cuda
