#include "skipattn/model/cpu/kernels.h"

#include <cmath>

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using simd::Floats;
using simd::kLanes;
using simd::lanes_from;

struct ForwardRows {
  const float* residual;
  const void* branch;  // null: none
  float* sum;
  void* normed;
  float* statistics;
  const float* weight;
  const float* bias;  // null: none
  int64_t width;
  float epsilon;
  bool centred;
};

/// Adds the branch to one row where there is one; the row to norm is at `input` afterwards. Returns its mean.
template <typename T>
SKIPATTN_INLINE float add_branch(const ForwardRows& f, int64_t row, const float*& input) {
  const int64_t start = row * f.width;
  const T* branch = static_cast<const T*>(f.branch);
  Floats total{};
  for (int64_t i = 0; i < f.width; i += kLanes) {
    const int lanes = lanes_from(f.width - i);
    Floats x = simd::load(f.residual + start + i, lanes);
    if (branch != nullptr) {
      x += simd::load(branch + start + i, lanes);
      simd::store(f.sum + start + i, x, lanes);
    }
    total += x;
  }
  input = (branch != nullptr ? f.sum : f.residual) + start;
  return simd::sum(total) / static_cast<float>(f.width);
}

SKIPATTN_INLINE float inverse_deviation(const float* input, float mean, int64_t width, float epsilon) {
  Floats total{};
  for (int64_t i = 0; i < width; i += kLanes) {
    const int lanes = lanes_from(width - i);
    const Floats centred = simd::load(input + i, lanes) - mean;
    // Lanes past the end hold -mean: they must not count.
    if (lanes == kLanes) {
      total += centred * centred;
    } else {
      for (int lane = 0; lane < lanes; ++lane) total[lane] += centred[lane] * centred[lane];
    }
  }
  return 1.0f / std::sqrt(simd::sum(total) / static_cast<float>(width) + epsilon);
}

template <typename T>
SKIPATTN_INLINE void forward_rows(const ForwardRows& f, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* input = nullptr;
    const float row_mean = add_branch<T>(f, row, input);
    const float mean = f.centred ? row_mean : 0.0f;
    const float rstd = inverse_deviation(input, mean, f.width, f.epsilon);
    f.statistics[2 * row] = mean;
    f.statistics[2 * row + 1] = rstd;
    T* normed = static_cast<T*>(f.normed) + row * f.width;
    for (int64_t i = 0; i < f.width; i += kLanes) {
      const int lanes = lanes_from(f.width - i);
      Floats y = (simd::load(input + i, lanes) - mean) * rstd * simd::load(f.weight + i, lanes);
      if (f.bias != nullptr) y += simd::load(f.bias + i, lanes);
      simd::store(normed + i, y, lanes);
    }
  }
}

SKIPATTN_SIMD void forward_rows_fp32(const ForwardRows& f, int64_t begin, int64_t end) {
  forward_rows<float>(f, begin, end);
}
SKIPATTN_SIMD void forward_rows_bf16(const ForwardRows& f, int64_t begin, int64_t end) {
  forward_rows<Bf16>(f, begin, end);
}

struct BackwardRows {
  const float* input;
  const float* statistics;
  const void* normed_gradient;
  float* gradient;
  bool first;
  void* rounded;  // null: not wanted
  void* normed;   // null: not wanted
  const float* weight;
  const float* bias;  // null: none
  int64_t width;
  bool centred;
};

/// One row. sums: [2, D], this block's weight and bias gradients so far.
template <typename T>
SKIPATTN_INLINE void backward_row(const BackwardRows& b, int64_t row, float* sums) {
  const int64_t start = row * b.width;
  const float* input = b.input + start;
  const T* dy = static_cast<const T*>(b.normed_gradient) + start;
  const float mean = b.statistics[2 * row], rstd = b.statistics[2 * row + 1];
  Floats sum{}, product{};
  for (int64_t i = 0; i < b.width; i += kLanes) {
    const int lanes = lanes_from(b.width - i);
    const Floats g = simd::load(dy + i, lanes), unit = (simd::load(input + i, lanes) - mean) * rstd;
    simd::store(sums + i, simd::load(sums + i, lanes) + g * unit, lanes);
    simd::store(sums + b.width + i, simd::load(sums + b.width + i, lanes) + g, lanes);
    const Floats weighted = g * simd::load(b.weight + i, lanes);
    sum += weighted;
    product += weighted * unit;
  }
  const float mean_gradient = b.centred ? simd::sum(sum) / static_cast<float>(b.width) : 0.0f;
  const float mean_product = simd::sum(product) / static_cast<float>(b.width);
  T* rounded = b.rounded != nullptr ? static_cast<T*>(b.rounded) + start : nullptr;
  T* normed = b.normed != nullptr ? static_cast<T*>(b.normed) + start : nullptr;
  for (int64_t i = 0; i < b.width; i += kLanes) {
    const int lanes = lanes_from(b.width - i);
    const Floats unit = (simd::load(input + i, lanes) - mean) * rstd, weight = simd::load(b.weight + i, lanes);
    Floats dx = (simd::load(dy + i, lanes) * weight - mean_gradient - unit * mean_product) * rstd;
    if (!b.first) dx += simd::load(b.gradient + start + i, lanes);
    simd::store(b.gradient + start + i, dx, lanes);
    if (rounded != nullptr) simd::store(rounded + i, dx, lanes);
    if (normed == nullptr) continue;
    Floats y = unit * weight;
    if (b.bias != nullptr) y += simd::load(b.bias + i, lanes);
    simd::store(normed + i, y, lanes);
  }
}

SKIPATTN_SIMD void backward_rows_fp32(const BackwardRows& b, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) backward_row<float>(b, row, sums);
}
SKIPATTN_SIMD void backward_rows_bf16(const BackwardRows& b, int64_t begin, int64_t end, float* sums) {
  for (int64_t row = begin; row < end; ++row) backward_row<Bf16>(b, row, sums);
}

template <typename T = void>
T* pointer_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.data_ptr()) : nullptr;
}

}  // namespace

void layer_norm_forward(const NormForward& call, const NormParameters& norm) {
  const ForwardRows rows = {data<float>(call.residual),        pointer_or_null(call.branch),
                            pointer_or_null<float>(call.sum),  call.normed.data_ptr(),
                            data<float>(call.statistics),      data<float>(norm.weight),
                            pointer_or_null<float>(norm.bias), call.residual.size(-1),
                            static_cast<float>(norm.epsilon),  norm.centred};
  const bool bf16 = call.normed.scalar_type() == at::kBFloat16;
  for_row_blocks(call.residual.size(0), [&](int64_t, int64_t begin, int64_t end) {
    bf16 ? forward_rows_bf16(rows, begin, end) : forward_rows_fp32(rows, begin, end);
  });
}

void layer_norm_backward(const NormBackward& call, const NormParameters& norm) {
  TORCH_INTERNAL_ASSERT(!call.rounded_sums.defined(), "products sum the columns on the CPU");
  const int64_t count = call.input.size(0), width = call.input.size(-1);
  const BackwardRows rows = {data<float>(call.input),
                             data<float>(call.statistics),
                             call.normed_gradient.data_ptr(),
                             data<float>(call.gradient),
                             call.first,
                             pointer_or_null(call.rounded),
                             pointer_or_null(call.normed),
                             data<float>(norm.weight),
                             pointer_or_null<float>(norm.bias),
                             width,
                             norm.centred};
  const bool bf16 = call.normed_gradient.scalar_type() == at::kBFloat16;
  float* partial = data<float>(call.scratch);
  for_row_blocks(count, [&](int64_t block, int64_t begin, int64_t end) {
    float* sums = partial + block * 2 * width;
    std::fill_n(sums, 2 * width, 0.0f);
    bf16 ? backward_rows_bf16(rows, begin, end, sums) : backward_rows_fp32(rows, begin, end, sums);
  });
  // Weight and bias sums alternate: [blocks][2][D].
  sum_blocks(partial, row_blocks(count), 2 * width, width, data<float>(call.weight_gradient), call.add);
  if (call.bias_gradient.defined())
    sum_blocks(partial + width, row_blocks(count), 2 * width, width, data<float>(call.bias_gradient), call.add);
}

}  // namespace skipattn::model::cpu
