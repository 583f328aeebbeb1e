#include "skipattn/training/cpu/softmax_loss.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <limits>

#include "skipattn/core/simd.h"

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
void all_rows(const at::Tensor& logits, const int64_t* targets, float* losses, float scale) {
  const int64_t width = logits.size(1);
  T* first = static_cast<T*>(logits.data_ptr());
  at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* row = first + i * width;
      if (targets[i] >= 0) {
        losses[i] = one_row(row, width, targets[i], scale);
      } else {
        losses[i] = 0.0f;
        if (scale != 0.0f) std::memset(row, 0, width * sizeof(T));
      }
    }
  });
}

}  // namespace

void softmax_loss(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& losses,
                  double gradient_scale) {
  const auto* target = targets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < targets.numel(); ++i)
    TORCH_CHECK_INDEX(target[i] < logits.size(1), "target ", target[i], " of a vocabulary of ", logits.size(1));
  const auto scale = static_cast<float>(gradient_scale);
  if (logits.scalar_type() == at::kBFloat16) {
    all_rows<Bf16>(logits, target, losses.data_ptr<float>(), scale);
  } else {
    all_rows<float>(logits, target, losses.data_ptr<float>(), scale);
  }
}

}  // namespace skipattn::training::cpu
