#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "skipattn/core/simd.h"
#include "skipattn/training/cpu/kernels.h"

namespace skipattn::training::cpu {

namespace {

using simd::Floats;
using simd::kLanes;

/// Greatest element; the lanes past the end of the row do not count.
template <typename T>
SKIPATTN_INLINE float row_maximum(const T* row, int64_t width) {
  Floats most = simd::splat(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) most = simd::max(simd::load(row + i), most);
  float result = simd::largest(most);
  for (; i < width; ++i) {
    const Floats x = simd::load(row + i, 1);
    result = x[0] > result ? x[0] : result;
  }
  return result;
}

template <typename T>
SKIPATTN_INLINE float row_sum(const T* row, int64_t width, float maximum) {
  Floats total{};
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) total += simd::exp(simd::load(row + i) - maximum);
  const int left = static_cast<int>(width - i);
  if (left > 0) {
    const Floats last = simd::exp(simd::load(row + i, left) - maximum);
    for (int lane = 0; lane < left; ++lane) total[lane] += last[lane];
  }
  return simd::sum(total);
}

/// The loss of one row; with a scale the row becomes its gradient.
template <typename T>
SKIPATTN_INLINE float row_loss(T* row, int64_t width, int64_t target, float scale) {
  const float maximum = row_maximum(row, width);
  const float sum = row_sum(row, width, maximum);
  const float target_score = simd::load(row + target, 1)[0];
  // A NaN anywhere in the row reaches the sum, and the loss with it.
  const float loss = std::log(sum) + maximum - target_score;
  if (scale == 0.0f) return loss;
  const float factor = scale / sum;
  const float at_target = std::exp(target_score - maximum) * factor - scale;
  for (int64_t i = 0; i < width; i += kLanes) {
    const int lanes = simd::lanes_from(width - i);
    simd::store(row + i, simd::exp(simd::load(row + i, lanes) - maximum) * factor, lanes);
  }
  simd::store(row + target, simd::splat(at_target), 1);
  return loss;
}

SKIPATTN_SIMD float one_row(float* row, int64_t width, int64_t target, float scale) {
  return row_loss(row, width, target, scale);
}
SKIPATTN_SIMD float one_row(Bf16* row, int64_t width, int64_t target, float scale) {
  return row_loss(row, width, target, scale);
}

template <typename T>
void all_rows(const fused::SoftmaxLoss& call, float scale) {
  const int64_t stride = call.logits.size(1), vocabulary = call.vocabulary;
  T* first = static_cast<T*>(call.logits.data_ptr());
  const auto* targets = call.targets.const_data_ptr<int64_t>();
  auto* losses = call.losses.data_ptr<float>();
  at::parallel_for(0, call.logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* row = first + i * stride;
      const bool counts = targets[i] >= 0;
      losses[i] = counts ? one_row(row, vocabulary, targets[i], scale) : 0.0f;
      if (scale == 0.0f) continue;
      const int64_t zeros_from = counts ? vocabulary : 0;
      std::memset(static_cast<void*>(row + zeros_from), 0, (stride - zeros_from) * sizeof(T));
    }
  });
}

}  // namespace

void softmax_loss(const fused::SoftmaxLoss& call) {
  const auto* target = call.targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < call.targets.numel(); ++i)
    TORCH_CHECK_INDEX(target[i] < call.vocabulary, "target ", target[i], " of a vocabulary of ", call.vocabulary);
  const float scale = call.gradient_scale.defined() ? *call.gradient_scale.const_data_ptr<float>() : 0.0f;
  call.logits.scalar_type() == at::kBFloat16 ? all_rows<Bf16>(call, scale) : all_rows<float>(call, scale);
}

}  // namespace skipattn::training::cpu
