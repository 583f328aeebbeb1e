// A CUDA card's way of running a kernel, on the CPU, for tests: kernel files compiled as plain C++ with
// SKIPATTN_EMULATE_CUDA see the names they use (threadIdx, __syncthreads, __shfl_xor_sync, …) from here. Blocks run one
// after the other, a block's threads as coroutines that change at barriers, so that results are what a card gives up to the
// order of atomics, and a barrier that not all threads reach is an error instead of a hang. One kernel at a time, one
// operating-system thread. What it cannot show: races between threads, speed, and anything of the hardware.
#pragma once

#include <math.h>

#include <cmath>
#include <cstdint>
#include <functional>

namespace skipattn::cuda::emulation {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

/// Runs `thread` once for every thread of every block. Throws std::logic_error when threads of a block wait at different
/// barriers, or some wait while others have ended.
void run(int64_t blocks, int threads, const std::function<void()>& thread);

// What the thread that is running sees.
const Index& thread_index();
const Index& block_index();
const Index& block_size();
const Index& grid_size();
void block_barrier();
/// Gives `value` to the warp and returns what lane `lane` of it gave.
uint64_t exchange_in_warp(uint64_t value, unsigned lane);

}  // namespace skipattn::cuda::emulation

// NOLINTBEGIN: these names are CUDA's.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define threadIdx (::skipattn::cuda::emulation::thread_index())
#define blockIdx (::skipattn::cuda::emulation::block_index())
#define blockDim (::skipattn::cuda::emulation::block_size())
#define gridDim (::skipattn::cuda::emulation::grid_size())

inline void __syncthreads() {
  ::skipattn::cuda::emulation::block_barrier();
}
template <typename T>
T __shfl_sync(unsigned mask, T value, unsigned lane) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = ::skipattn::cuda::emulation::exchange_in_warp(bits, lane);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lanes) {
  return __shfl_sync(mask, value, (threadIdx.x % 32) ^ lanes);
}
inline void __syncwarp() {
  ::skipattn::cuda::emulation::exchange_in_warp(0, 0);
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __logf(float x) {
  return std::log(x);
}
inline float __fdividef(float x, float y) {
  return x / y;
}
template <typename T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address += value;
  return before;
}
// NOLINTEND
