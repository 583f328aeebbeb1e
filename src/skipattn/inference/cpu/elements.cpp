#include "skipattn/inference/cpu/elements.h"

namespace skipattn::inference::cpu {

namespace {

template <typename T>
SKIPATTN_INLINE void copy_to(const float* numbers, int64_t count, void* to) {
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const int lanes = simd::lanes_from(count - i);
    simd::store(static_cast<T*>(to) + i, simd::load(numbers + i, lanes), lanes);
  }
}
SKIPATTN_SIMD void store_fp32(const float* numbers, int64_t count, void* to) {
  copy_to<float>(numbers, count, to);
}
SKIPATTN_SIMD void store_bf16(const float* numbers, int64_t count, void* to) {
  copy_to<Bf16>(numbers, count, to);
}

SKIPATTN_SIMD float store_int8(const float* numbers, int64_t count, void* to) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(numbers[i]));
  const float scale = largest / 127.0f;
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  auto* bytes = static_cast<int8_t*>(to);
  // Adding and taking off 1.5 * 2^23 rounds to the nearest whole number, ties to even.
  for (int64_t i = 0; i < count; ++i) {
    const float rounded = (numbers[i] * inverse + 12582912.0f) - 12582912.0f;
    bytes[i] = static_cast<int8_t>(std::min(127.0f, std::max(-127.0f, rounded)));
  }
  return scale;
}

template <typename T>
SKIPATTN_INLINE void copy_from(const void* from, int64_t count, float* numbers) {
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const int lanes = simd::lanes_from(count - i);
    simd::store(numbers + i, simd::load(static_cast<const T*>(from) + i, lanes), lanes);
  }
}
SKIPATTN_SIMD void load_fp32(const void* from, int64_t count, float* numbers) {
  copy_from<float>(from, count, numbers);
}
SKIPATTN_SIMD void load_bf16(const void* from, int64_t count, float* numbers) {
  copy_from<Bf16>(from, count, numbers);
}
SKIPATTN_SIMD void load_int8(const void* from, float scale, int64_t count, float* numbers) {
  const auto* bytes = static_cast<const int8_t*>(from);
  for (int64_t i = 0; i < count; ++i) numbers[i] = scale * static_cast<float>(bytes[i]);
}

SKIPATTN_SIMD void pairs_apart(const float* numbers, int64_t count, float* ordered) {
  for (int64_t i = 0; i < count; i += kChunk) {
    const Floats low = simd::load(numbers + i, simd::lanes_from(count - i));
    const Floats high = count - i > simd::kLanes
                            ? simd::load(numbers + i + simd::kLanes, simd::lanes_from(count - i - simd::kLanes))
                            : Floats{};
    simd::store(ordered + i,
                __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30));
    simd::store(ordered + i + simd::kLanes,
                __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31));
  }
}

}  // namespace

void to_order(Dtype dtype, const float* numbers, int64_t count, float* ordered) {
  if (dtype != Dtype::kFp32) return pairs_apart(numbers, count, ordered);
  std::memcpy(ordered, numbers, count * sizeof(float));
  std::memset(ordered + count, 0, (padded(count) - count) * sizeof(float));
}

float store_row(Dtype dtype, const float* numbers, int64_t count, void* to) {
  if (dtype == Dtype::kInt8) return store_int8(numbers, count, to);
  (dtype == Dtype::kFp32 ? store_fp32 : store_bf16)(numbers, count, to);
  return 1.0f;
}

void load_row(Dtype dtype, const void* from, float scale, int64_t count, float* numbers) {
  if (dtype == Dtype::kInt8) return load_int8(from, scale, count, numbers);
  (dtype == Dtype::kFp32 ? load_fp32 : load_bf16)(from, count, numbers);
}

}  // namespace skipattn::inference::cpu
