// The arithmetic of an AdamW step over a range of elements, and sums of squares: one pass over memory each.
#pragma once

#include <cstdint>

#include "skipattn/core/simd.h"

namespace skipattn::training::cpu {

/// Everything one element's update needs, already combined per step.
struct AdamWFactors {
  float gradient_scale, beta1, beta2, step_size, inverse_root_correction2, epsilon, shrink;
};

/// A range of one parameter's elements.
struct AdamWRange {
  float* master;
  void* compute;  ///< fp32 or bf16; may be master itself
  float* first_moment;
  float* second_moment;
  const void* gradient;  ///< fp32 or bf16
  bool compute_is_bf16;
  bool gradient_is_bf16;
};
void update_range(const AdamWRange& range, int64_t begin, int64_t end, const AdamWFactors& factors);

double sum_of_squares(const float* data, int64_t count);
double sum_of_squares(const Bf16* data, int64_t count);

}  // namespace skipattn::training::cpu
