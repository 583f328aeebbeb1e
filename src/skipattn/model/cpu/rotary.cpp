#include "skipattn/model/cpu/kernels.h"

#include <ATen/ATen.h>

#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using simd::Floats;

/// One head: `half` = d / 2 pairs; `sign` of the sines turns forward or back.
template <typename T>
SKIPATTN_INLINE void rotate_head_of(T* x, const float* angles, int64_t half, float sign) {
  for (int64_t i = 0; i < half; i += simd::kLanes) {
    const int lanes = simd::lanes_from(half - i);
    const Floats cosine = simd::load(angles + i, lanes), sine = simd::load(angles + half + i, lanes) * sign;
    const Floats first = simd::load(x + i, lanes), second = simd::load(x + half + i, lanes);
    simd::store(x + i, first * cosine - second * sine, lanes);
    simd::store(x + half + i, second * cosine + first * sine, lanes);
  }
}
SKIPATTN_SIMD void rotate_head(float* x, const float* angles, int64_t half, float sign) {
  rotate_head_of(x, angles, half, sign);
}
SKIPATTN_SIMD void rotate_head(Bf16* x, const float* angles, int64_t half, float sign) {
  rotate_head_of(x, angles, half, sign);
}

}  // namespace

void rotate(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& table, Turn turn) {
  const int64_t half = table.size(2), heads = x.size(1) / (2 * half), stride = x.stride(0);
  const auto* position = positions.const_data_ptr<int64_t>();
  const auto* angles = data<float>(table);
  const float sign = turn == Turn::kForward ? 1.0f : -1.0f;
  for (int64_t i = 0; i < positions.numel(); ++i)
    TORCH_CHECK_INDEX(position[i] >= 0 && position[i] < table.size(0), "position ", position[i], ": the table has ",
                      table.size(0));
  with_element_type(x, [&](auto element) {
    auto* first = data<decltype(element)>(x);
    for_row_blocks(x.size(0), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row)
        for (int64_t head = 0; head < heads; ++head)
          rotate_head(first + row * stride + head * 2 * half, angles + position[row] * 2 * half, half, sign);
    });
  });
}

}  // namespace skipattn::model::cpu
