#include "skipattn/model/cpu/kernels.h"

#include <algorithm>
#include <cmath>

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using simd::Floats;
using simd::kLanes;
using simd::lanes_from;

/// 1 / sqrt(mean of squares + epsilon) of one head.
template <typename T>
SKIPATTN_INLINE float inverse_rms(const T* x, int64_t d, float epsilon) {
  Floats squares{};
  for (int64_t i = 0; i < d; i += kLanes) {
    const Floats value = simd::load(x + i, lanes_from(d - i));
    squares += value * value;
  }
  return 1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(d) + epsilon);
}

template <typename T>
SKIPATTN_INLINE void forward_head_of(T* x, T* kept, const float* weight, int64_t d, float epsilon) {
  const float scale = inverse_rms(x, d, epsilon);
  for (int64_t i = 0; i < d; i += kLanes) {
    const int lanes = lanes_from(d - i);
    const Floats value = simd::load(x + i, lanes);
    simd::store(kept + i, value, lanes);
    simd::store(x + i, value * scale * simd::load(weight + i, lanes), lanes);
  }
}

/// sums [d]: this block's weight gradient so far.
template <typename T>
SKIPATTN_INLINE void backward_head_of(const T* kept, T* gradient, const float* weight, int64_t d, float epsilon,
                                      float* sums) {
  const float scale = inverse_rms(kept, d, epsilon);
  Floats product{};
  for (int64_t i = 0; i < d; i += kLanes) {
    const int lanes = lanes_from(d - i);
    const Floats unit = simd::load(kept + i, lanes) * scale, dy = simd::load(gradient + i, lanes);
    simd::store(sums + i, simd::load(sums + i, lanes) + dy * unit, lanes);
    product += dy * simd::load(weight + i, lanes) * unit;
  }
  const float mean_product = simd::sum(product) / static_cast<float>(d);
  for (int64_t i = 0; i < d; i += kLanes) {
    const int lanes = lanes_from(d - i);
    const Floats unit = simd::load(kept + i, lanes) * scale, dy = simd::load(gradient + i, lanes);
    simd::store(gradient + i, (dy * simd::load(weight + i, lanes) - unit * mean_product) * scale, lanes);
  }
}

SKIPATTN_SIMD void forward_head(float* x, float* kept, const float* weight, int64_t d, float epsilon) {
  forward_head_of(x, kept, weight, d, epsilon);
}
SKIPATTN_SIMD void forward_head(Bf16* x, Bf16* kept, const float* weight, int64_t d, float epsilon) {
  forward_head_of(x, kept, weight, d, epsilon);
}
SKIPATTN_SIMD void backward_head(const float* kept, float* gradient, const float* weight, int64_t d, float epsilon,
                                 float* sums) {
  backward_head_of(kept, gradient, weight, d, epsilon, sums);
}
SKIPATTN_SIMD void backward_head(const Bf16* kept, Bf16* gradient, const float* weight, int64_t d, float epsilon,
                                 float* sums) {
  backward_head_of(kept, gradient, weight, d, epsilon, sums);
}

}  // namespace

void head_norm_forward(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm) {
  const int64_t d = norm.weight.size(0), width = x.size(1), stride = x.stride(0), kept_stride = kept.stride(0);
  const auto* weight = data<float>(norm.weight);
  const auto epsilon = static_cast<float>(norm.epsilon);
  with_element_type(x, [&](auto element) {
    using T = decltype(element);
    T *first = data<T>(x), *first_kept = data<T>(kept);
    for_row_blocks(x.size(0), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t head = 0; head < width; head += d)
          forward_head(first + row * stride + head, first_kept + row * kept_stride + head, weight, d, epsilon);
    });
  });
}

void head_norm_backward(const HeadNormBackward& call, const NormParameters& norm) {
  const int64_t d = norm.weight.size(0), rows = call.gradient.size(0), width = call.gradient.size(1);
  const int64_t stride = call.gradient.stride(0), kept_stride = call.kept.stride(0);
  const auto* weight = data<float>(norm.weight);
  const auto epsilon = static_cast<float>(norm.epsilon);
  auto* partial = data<float>(call.scratch);
  with_element_type(call.gradient, [&](auto element) {
    using T = decltype(element);
    T *gradient = data<T>(call.gradient), *kept = data<T>(call.kept);
    for_row_blocks(rows, [&](int64_t block, int64_t begin, int64_t end) {
      float* sums = partial + block * d;
      std::fill_n(sums, d, 0.0f);
      for (int64_t row = begin; row < end; ++row)
        for (int64_t head = 0; head < width; head += d)
          backward_head(kept + row * kept_stride + head, gradient + row * stride + head, weight, d, epsilon, sums);
    });
  });
  sum_blocks(partial, row_blocks(rows), d, d, data<float>(call.weight_gradient), call.add);
}

}  // namespace skipattn::model::cpu
