#include "skipattn/inference/cpu/row_ops.h"

#include <cmath>

#include "skipattn/inference/cpu/elements.h"

namespace skipattn::inference::cpu {

namespace {

using simd::kLanes;
using simd::lanes_from;

SKIPATTN_INLINE Floats sigmoid(Floats x) {
  return 1.0f / (simd::exp(-x) + 1.0f);
}

}  // namespace

SKIPATTN_SIMD void norm_row(const NormRow& norm, const float* input, int64_t width, float* output) {
  Floats total{};
  for (int64_t i = 0; i < width; i += kLanes) total += simd::load(input + i, lanes_from(width - i));
  const float mean = norm.centred ? sum_lanes(total) / static_cast<float>(width) : 0.0f;
  Floats squares{};
  for (int64_t i = 0; i < width; i += kLanes) {
    const int lanes = lanes_from(width - i);
    Floats apart = simd::load(input + i, lanes) - mean;
    for (int lane = lanes; lane < kLanes; ++lane) apart[lane] = 0;
    squares += apart * apart;
  }
  const float factor = 1.0f / std::sqrt(sum_lanes(squares) / static_cast<float>(width) + norm.epsilon);
  for (int64_t i = 0; i < width; i += kLanes) {
    const int lanes = lanes_from(width - i);
    Floats y = (simd::load(input + i, lanes) - mean) * factor * simd::load(norm.weight + i, lanes);
    if (norm.bias != nullptr) y += simd::load(norm.bias + i, lanes);
    simd::store(output + i, y, lanes);
  }
}

SKIPATTN_SIMD void add_to_row(float* x, const float* addend, int64_t count) {
  if (addend == nullptr) return;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_from(count - i);
    simd::store(x + i, simd::load(x + i, lanes) + simd::load(addend + i, lanes), lanes);
  }
}

SKIPATTN_SIMD void scale_row(float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_from(count - i);
    simd::store(x + i, simd::load(x + i, lanes) * factor, lanes);
  }
}

SKIPATTN_SIMD void swiglu_row(float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_from(count - i);
    const Floats g = simd::load(gate + i, lanes);
    simd::store(gate + i, g * sigmoid(g) * simd::load(up + i, lanes), lanes);
  }
}

SKIPATTN_SIMD void gelu_tanh_row(float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = lanes_from(count - i);
    const Floats v = simd::load(x + i, lanes);
    // (1 + tanh u) / 2 = sigmoid(2 u), u = sqrt(2 / pi) (v + 0.044715 v^3)
    simd::store(x + i, v * sigmoid(v * (v * v * 0.0713548163f + 1.59576912f)), lanes);
  }
}

void gelu_row(float* x, int64_t count, bool exact) {
  if (!exact) return gelu_tanh_row(x, count);
  for (int64_t i = 0; i < count; ++i) x[i] = 0.5f * x[i] * std::erfc(-x[i] * 0.707106781f);
}

SKIPATTN_SIMD void rotate_row(float* head, const float* angles, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    const int lanes = lanes_from(half - i);
    const Floats cosine = simd::load(angles + i, lanes), sine = simd::load(angles + half + i, lanes);
    const Floats first = simd::load(head + i, lanes), second = simd::load(head + half + i, lanes);
    simd::store(head + i, first * cosine - second * sine, lanes);
    simd::store(head + half + i, second * cosine + first * sine, lanes);
  }
}

}  // namespace skipattn::inference::cpu
