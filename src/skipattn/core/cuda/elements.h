// Element types of kernels, fp32 and bf16, and how they are read and written several at a time: sixteen bytes a thread
// where rows allow it. Arithmetic is fp32 always.
#pragma once

#include <cstdint>

#include "skipattn/core/cuda/launch.h"

#ifndef SKIPATTN_EMULATE_CUDA
#include <cuda_bf16.h>
#endif

namespace skipattn::cuda {

/// The bits of a bf16 number.
struct Bf16 {
  uint16_t bits;
};

__device__ __forceinline__ float to_float(float x) {
  return x;
}

#ifdef SKIPATTN_EMULATE_CUDA
inline float to_float(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
inline Bf16 to_bf16(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  if (x != x) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}
#else
__device__ __forceinline__ float to_float(Bf16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}
__device__ __forceinline__ Bf16 to_bf16(float x) {
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
}
#endif

template <typename T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (sizeof(T) == sizeof(Bf16)) {
    return to_bf16(x);
  } else {
    return x;
  }
}

/// N neighbours, read and written as one.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <int N, typename T>
__device__ __forceinline__ void load(float (&to)[N], const T* from) {
  const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = to_float(pack.at[i]);
}

template <int N, typename T>
__device__ __forceinline__ void store(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.at[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

/// number = row * width + column.
struct RowColumn {
  int64_t row, column;
};
/// In 32 bits where they hold both: a card has no instruction that divides, and 64 bits take several times as many steps.
__device__ __forceinline__ RowColumn split(int64_t number, int64_t width) {
  if (((number | width) >> 32) != 0) return {number / width, number % width};
  const uint32_t n = static_cast<uint32_t>(number), w = static_cast<uint32_t>(width);
  return {n / w, n % w};
}

/// Calls task(T{}) with the element type.
template <typename Task>
void with_type(bool bf16, const Task& task) {
  bf16 ? task(Bf16{}) : task(float{});
}

/// Whether rows that begin at `address` and lie `step` elements apart may be read in packs of `count` elements.
template <typename T>
bool packs_fit(const T* address, int64_t step, int count) {
  const uintptr_t bytes = sizeof(T) * count;
  return reinterpret_cast<uintptr_t>(address) % bytes == 0 && static_cast<uintptr_t>(step) * sizeof(T) % bytes == 0;
}

}  // namespace skipattn::cuda
