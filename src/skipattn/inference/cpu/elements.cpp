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

}  // namespace

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
