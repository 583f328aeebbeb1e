#include "skipattn/model/cpu/kernels.h"

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using simd::Floats;

constexpr int64_t kGrain = 16384;  // elements a thread takes at once

/// The value and, where wanted, the derivative.
struct ValueAndSlope {
  Floats value, slope;
};

/// x s with s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), since (1 + tanh u) / 2 = sigmoid(2 u).
SKIPATTN_INLINE ValueAndSlope tanh_form(Floats x) {
  const Floats square = x * x;
  const Floats doubled = x * (square * 0.0713548163f + 1.59576912f);  // 2 u
  const Floats sigmoid = 1.0f / (simd::exp(-doubled) + 1.0f);
  const Floats doubled_slope = square * 0.214064449f + 1.59576912f;
  const Floats value = x * sigmoid;
  return {value, sigmoid + value * (1.0f - sigmoid) * doubled_slope};
}

/// Phi(-|x|), relative error below 1e-6: erfc(z) = t exp(P(t) - z^2) with t = 1 / (1 + z / 2), P fitted on [1/8, 1].
SKIPATTN_INLINE Floats lower_tail(Floats z, Floats density_exponent) {
  const Floats t = 1.0f / (z * 0.5f + 1.0f);
  Floats p = t * 0.16099201f - 0.768008053f;
  p = p * t + 1.36102307f;
  p = p * t - 0.966672957f;
  p = p * t + 0.141803116f;
  p = p * t - 0.115633413f;
  p = p * t + 0.0738811046f;
  p = p * t + 0.378552407f;
  p = p * t + 0.999554992f;
  p = p * t - 1.2654922f;
  return t * 0.5f * simd::exp(p + density_exponent);
}

/// x Phi(x); its slope is Phi(x) + x phi(x).
SKIPATTN_INLINE ValueAndSlope exact_form(Floats x) {
  const Floats absolute = x < 0.0f ? -x : x;
  const Floats density_exponent = x * x * -0.5f;
  const Floats tail = lower_tail(absolute * 0.707106781f, density_exponent);
  const Floats cdf = x < 0.0f ? tail : 1.0f - tail;
  return {x * cdf, cdf + x * simd::exp(density_exponent) * 0.39894228f};
}

template <typename T, bool kExact>
SKIPATTN_INLINE void forward_range(const void* input, void* output, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += simd::kLanes) {
    const int lanes = simd::lanes_from(end - i);
    const Floats x = simd::load(static_cast<const T*>(input) + i, lanes);
    simd::store(static_cast<T*>(output) + i, (kExact ? exact_form(x) : tanh_form(x)).value, lanes);
  }
}

template <typename T, bool kExact>
SKIPATTN_INLINE void backward_range(const void* input, void* gradient, void* output, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += simd::kLanes) {
    const int lanes = simd::lanes_from(end - i);
    const Floats x = simd::load(static_cast<const T*>(input) + i, lanes);
    T* dy = static_cast<T*>(gradient) + i;
    const ValueAndSlope y = kExact ? exact_form(x) : tanh_form(x);
    simd::store(static_cast<T*>(output) + i, y.value, lanes);
    simd::store(dy, simd::load(dy, lanes) * y.slope, lanes);
  }
}

SKIPATTN_SIMD void forward_tanh_fp32(const void* input, void* output, int64_t begin, int64_t end) {
  forward_range<float, false>(input, output, begin, end);
}
SKIPATTN_SIMD void forward_tanh_bf16(const void* input, void* output, int64_t begin, int64_t end) {
  forward_range<Bf16, false>(input, output, begin, end);
}
SKIPATTN_SIMD void forward_exact_fp32(const void* input, void* output, int64_t begin, int64_t end) {
  forward_range<float, true>(input, output, begin, end);
}
SKIPATTN_SIMD void forward_exact_bf16(const void* input, void* output, int64_t begin, int64_t end) {
  forward_range<Bf16, true>(input, output, begin, end);
}
SKIPATTN_SIMD void backward_tanh_fp32(const void* input, void* gradient, void* output, int64_t begin, int64_t end) {
  backward_range<float, false>(input, gradient, output, begin, end);
}
SKIPATTN_SIMD void backward_tanh_bf16(const void* input, void* gradient, void* output, int64_t begin, int64_t end) {
  backward_range<Bf16, false>(input, gradient, output, begin, end);
}
SKIPATTN_SIMD void backward_exact_fp32(const void* input, void* gradient, void* output, int64_t begin, int64_t end) {
  backward_range<float, true>(input, gradient, output, begin, end);
}
SKIPATTN_SIMD void backward_exact_bf16(const void* input, void* gradient, void* output, int64_t begin, int64_t end) {
  backward_range<Bf16, true>(input, gradient, output, begin, end);
}

}  // namespace

void gelu_forward(const at::Tensor& input, const at::Tensor& output, bool exact) {
  const bool bf16 = input.scalar_type() == at::kBFloat16;
  const auto run =
      exact ? (bf16 ? forward_exact_bf16 : forward_exact_fp32) : (bf16 ? forward_tanh_bf16 : forward_tanh_fp32);
  const void* from = input.data_ptr();
  void* to = output.data_ptr();
  at::parallel_for(0, input.numel(), kGrain, [&](int64_t begin, int64_t end) { run(from, to, begin, end); });
}

void gelu_backward(const at::Tensor& input, const at::Tensor& gradient, const at::Tensor& output, bool exact,
                   const fused::SumsInPassing& sums) {
  TORCH_INTERNAL_ASSERT(!sums.to.defined(), "products sum the columns on the CPU");
  const bool bf16 = input.scalar_type() == at::kBFloat16;
  const auto run =
      exact ? (bf16 ? backward_exact_bf16 : backward_exact_fp32) : (bf16 ? backward_tanh_bf16 : backward_tanh_fp32);
  const void* from = input.data_ptr();
  void *dy = gradient.data_ptr(), *to = output.data_ptr();
  at::parallel_for(0, input.numel(), kGrain, [&](int64_t begin, int64_t end) { run(from, dy, to, begin, end); });
}

}  // namespace skipattn::model::cpu
