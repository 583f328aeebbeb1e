// Sixteen floats at a time, in the compiler's vector types: one source for AVX-512, AVX2 and everything else.
//
//   SKIPATTN_SIMD void scale(float* x, int64_t count) {                 // compiled once per instruction set
//     for (int64_t i = 0; i < count; i += simd::kLanes) {
//       const int lanes = simd::lanes_from(count - i);
//       simd::store(x + i, simd::load(x + i, lanes) * 2.0f, lanes);
//     }
//   }
//
// Sums have one fixed order of lanes, so results do not depend on how work is cut as long as the cuts do not.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

// A function that begins with this is compiled for each instruction set; the processor's best is taken at run time.
// Not under sanitizers, whose start-up comes after the choice, nor where a test wants the level of the compiler's options
// alone (SKIPATTN_SIMD_ONE_LEVEL).
#if !defined(SKIPATTN_SIMD_ONE_LEVEL) && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SKIPATTN_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SKIPATTN_SIMD
#endif

#define SKIPATTN_INLINE inline __attribute__((always_inline))

#if defined(__GNUC__) && !defined(__clang__)
// Everything below is inlined: how vectors would be passed does not matter.
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace skipattn {

/// The bits of a bf16 number: the upper half of an fp32.
struct Bf16 {
  uint16_t bits;
};

}  // namespace skipattn

namespace skipattn::simd {

inline constexpr int kLanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = int32_t __attribute__((vector_size(64)));
using Words = uint32_t __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(32)));

/// Lanes in use where `left` elements are left: at most kLanes.
SKIPATTN_INLINE int lanes_from(int64_t left) {
  return left < kLanes ? static_cast<int>(left) : kLanes;
}

SKIPATTN_INLINE Floats splat(float value) {
  return Floats{} + value;
}

SKIPATTN_INLINE Floats widen(Halves halves) {
  const Words words = __builtin_convertvector(halves, Words) << 16;
  return std::bit_cast<Floats>(words);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
SKIPATTN_INLINE Halves narrow(Floats value) {
  const Words words = std::bit_cast<Words>(value);
  const Words rounded = (words + 0x7fffu + ((words >> 16) & 1u)) >> 16;
  const Words quiet = (words >> 16) | 0x40u;
  return __builtin_convertvector(value == value ? rounded : quiet, Halves);
}

/// The first `lanes` elements; zeros after them.
SKIPATTN_INLINE Floats load(const float* from, int lanes = kLanes) {
  Floats value{};
  if (lanes == kLanes) {
    std::memcpy(&value, from, sizeof(value));
  } else {
    std::memcpy(&value, from, lanes * sizeof(float));
  }
  return value;
}

SKIPATTN_INLINE Floats load(const Bf16* from, int lanes = kLanes) {
  Halves value{};
  if (lanes == kLanes) {
    std::memcpy(&value, from, sizeof(value));
  } else {
    std::memcpy(&value, from, lanes * sizeof(Bf16));
  }
  return widen(value);
}

SKIPATTN_INLINE void store(float* to, Floats value, int lanes = kLanes) {
  if (lanes == kLanes) {
    std::memcpy(to, &value, sizeof(value));
  } else {
    std::memcpy(to, &value, lanes * sizeof(float));
  }
}

SKIPATTN_INLINE void store(Bf16* to, Floats value, int lanes = kLanes) {
  const Halves halves = narrow(value);
  if (lanes == kLanes) {
    std::memcpy(to, &halves, sizeof(halves));
  } else {
    std::memcpy(to, &halves, lanes * sizeof(Bf16));
  }
}

SKIPATTN_INLINE Floats max(Floats a, Floats b) {
  return a > b ? a : b;
}
SKIPATTN_INLINE Floats min(Floats a, Floats b) {
  return a < b ? a : b;
}

/// Sum of all lanes, pairwise.
SKIPATTN_INLINE float sum(Floats value) {
  float lanes[kLanes];
  std::memcpy(lanes, &value, sizeof(value));
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

SKIPATTN_INLINE float largest(Floats value) {
  float lanes[kLanes];
  std::memcpy(lanes, &value, sizeof(value));
  float result = lanes[0];
  for (int i = 1; i < kLanes; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

/// e^x, relative error 2e-7 near zero and at most 2e-6; below -87 it stays at e^-87 = 1.6e-38, above 88 at e^88. NaN
/// stays NaN.
SKIPATTN_INLINE Floats exp(Floats x) {
  // In this order a NaN passes both bounds.
  const Floats bounded = min(splat(88.0f), max(splat(-87.0f), x));
  const Floats shifted = bounded * 1.44269504f + 12582912.0f;  // + 1.5 * 2^23: the low bits are the nearest integer
  const Floats f = bounded * 1.44269504f - (shifted - 12582912.0f);
  // 2^f on [-1/2, 1/2], minimax of degree 6.
  Floats power = f * 1.5345811e-4f + 1.3399931e-3f;
  power = power * f + 9.6184891e-3f;
  power = power * f + 5.5503286e-2f;
  power = power * f + 0.24022646f;
  power = power * f + 0.69314718f;
  power = power * f + 1.0f;
  return std::bit_cast<Floats>(std::bit_cast<Ints>(power) + (std::bit_cast<Ints>(shifted) << 23));
}

}  // namespace skipattn::simd
