#include "skipattn/training/cpu/adamw.h"

#include <cmath>

namespace skipattn::training::cpu {

namespace {

using simd::Floats;

/// One vector instruction where errno is not asked for (CMakeLists.txt).
SKIPATTN_INLINE Floats square_root(Floats x) {
  Floats root;
  for (int i = 0; i < simd::kLanes; ++i) root[i] = std::sqrt(x[i]);
  return root;
}

template <typename Gradient, typename Compute>
SKIPATTN_INLINE void update(const AdamWRange& r, int64_t begin, int64_t end, const AdamWFactors& f) {
  const auto* gradient = static_cast<const Gradient*>(r.gradient);
  auto* compute = static_cast<Compute*>(r.compute);
  for (int64_t i = begin; i < end; i += simd::kLanes) {
    const int lanes = simd::lanes_from(end - i);
    const Floats g = simd::load(gradient + i, lanes) * f.gradient_scale;
    const Floats m = simd::load(r.first_moment + i, lanes) * f.beta1 + g * (1.0f - f.beta1);
    const Floats v = simd::load(r.second_moment + i, lanes) * f.beta2 + g * g * (1.0f - f.beta2);
    const Floats change = m * f.step_size / (square_root(v) * f.inverse_root_correction2 + f.epsilon);
    const Floats weight = simd::load(r.master + i, lanes) * f.shrink - change;
    simd::store(r.first_moment + i, m, lanes);
    simd::store(r.second_moment + i, v, lanes);
    simd::store(r.master + i, weight, lanes);
    simd::store(compute + i, weight, lanes);  // the same value again where it is the master
  }
}

SKIPATTN_SIMD void update_fp32(const AdamWRange& r, int64_t begin, int64_t end, const AdamWFactors& f) {
  update<float, float>(r, begin, end, f);
}
SKIPATTN_SIMD void update_bf16(const AdamWRange& r, int64_t begin, int64_t end, const AdamWFactors& f) {
  update<float, Bf16>(r, begin, end, f);
}
SKIPATTN_SIMD void update_fp32_from_bf16(const AdamWRange& r, int64_t begin, int64_t end, const AdamWFactors& f) {
  update<Bf16, float>(r, begin, end, f);
}
SKIPATTN_SIMD void update_bf16_from_bf16(const AdamWRange& r, int64_t begin, int64_t end, const AdamWFactors& f) {
  update<Bf16, Bf16>(r, begin, end, f);
}

template <typename T>
SKIPATTN_INLINE double sum(const T* data, int64_t count) {
  using Doubles = double __attribute__((vector_size(16 * sizeof(double))));
  Doubles total{};
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const Doubles x = __builtin_convertvector(simd::load(data + i, simd::lanes_from(count - i)), Doubles);
    total += x * x;
  }
  double result = 0;
  for (int i = 0; i < simd::kLanes; ++i) result += total[i];
  return result;
}

SKIPATTN_SIMD double sum_fp32(const float* data, int64_t count) {
  return sum(data, count);
}
SKIPATTN_SIMD double sum_bf16(const Bf16* data, int64_t count) {
  return sum(data, count);
}

}  // namespace

void update_range(const AdamWRange& range, int64_t begin, int64_t end, const AdamWFactors& factors) {
  if (range.gradient_is_bf16) {
    range.compute_is_bf16 ? update_bf16_from_bf16(range, begin, end, factors)
                          : update_fp32_from_bf16(range, begin, end, factors);
  } else {
    range.compute_is_bf16 ? update_bf16(range, begin, end, factors) : update_fp32(range, begin, end, factors);
  }
}

double sum_of_squares(const float* data, int64_t count) {
  return sum_fp32(data, count);
}
double sum_of_squares(const Bf16* data, int64_t count) {
  return sum_bf16(data, count);
}

}  // namespace skipattn::training::cpu
