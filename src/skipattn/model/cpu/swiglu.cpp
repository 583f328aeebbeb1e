#include "skipattn/model/cpu/kernels.h"

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using simd::Floats;

SKIPATTN_INLINE Floats sigmoid(Floats x) {
  return 1.0f / (simd::exp(-x) + 1.0f);
}

template <typename T>
SKIPATTN_INLINE void forward_row_of(const T* gate, T* output, int64_t width) {
  for (int64_t i = 0; i < width; i += simd::kLanes) {
    const int lanes = simd::lanes_from(width - i);
    const Floats g = simd::load(gate + i, lanes);
    simd::store(output + i, g * sigmoid(g) * simd::load(gate + width + i, lanes), lanes);
  }
}

template <typename T>
SKIPATTN_INLINE void backward_row_of(T* gate, const T* gradient, T* output, int64_t width) {
  for (int64_t i = 0; i < width; i += simd::kLanes) {
    const int lanes = simd::lanes_from(width - i);
    const Floats g = simd::load(gate + i, lanes), up = simd::load(gate + width + i, lanes);
    const Floats dy = simd::load(gradient + i, lanes), s = sigmoid(g);
    simd::store(output + i, g * s * up, lanes);
    simd::store(gate + i, dy * up * s * (g * (1.0f - s) + 1.0f), lanes);
    simd::store(gate + width + i, dy * g * s, lanes);
  }
}

SKIPATTN_SIMD void forward_row(const float* gate, float* output, int64_t width) {
  forward_row_of(gate, output, width);
}
SKIPATTN_SIMD void forward_row(const Bf16* gate, Bf16* output, int64_t width) {
  forward_row_of(gate, output, width);
}
SKIPATTN_SIMD void backward_row(float* gate, const float* gradient, float* output, int64_t width) {
  backward_row_of(gate, gradient, output, width);
}
SKIPATTN_SIMD void backward_row(Bf16* gate, const Bf16* gradient, Bf16* output, int64_t width) {
  backward_row_of(gate, gradient, output, width);
}

}  // namespace

void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& output) {
  const int64_t width = output.size(1);
  with_element_type(output, [&](auto element) {
    using T = decltype(element);
    const T* from = data<T>(gate_up);
    T* to = data<T>(output);
    for_row_blocks(output.size(0), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) forward_row(from + 2 * row * width, to + row * width, width);
    });
  });
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& output_gradient, const at::Tensor& output) {
  const int64_t width = output.size(1);
  with_element_type(output, [&](auto element) {
    using T = decltype(element);
    T *both = data<T>(gate_up), *to = data<T>(output);
    const T* gradient = data<T>(output_gradient);
    for_row_blocks(output.size(0), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        backward_row(both + 2 * row * width, gradient + row * width, to + row * width, width);
    });
  });
}

}  // namespace skipattn::model::cpu
