// Writing fp32 sums as rows of a tensor.
#pragma once

#include "skipattn/attention/cpu/kernels/kernels.h"

namespace skipattn::attention::cpu {
namespace {

template <class A, typename T>
void write_lanes_as(int width, const float* sums, const float* scales, int rows, T* out, int64_t stride) {
  constexpr int n = A::kLanes;
  for (int q = 0; q < rows; q += n) {
    const auto scale = A::load(scales + q);
    for (int i = 0; i < width; i += n) {
      typename A::Vec tile[n];
#pragma GCC unroll 16
      for (int r = 0; r < n; ++r)
        tile[r] = i + r < width ? A::mul(A::load(sums + (i + r) * kQueryBlock + q), scale) : A::zero();
      A::transpose(tile);
#pragma GCC unroll 16
      for (int r = 0; r < n; ++r)
        if (q + r < rows) A::store_elements(out + (q + r) * stride + i, tile[r], width - i < n ? width - i : n);
    }
  }
}

/// sums [width][64] * scales [64], transposed, as rows.
template <class A>
void write_lanes(const Geometry& g, const float* sums, const float* scales, int rows, MutableRowsView out,
                 Element type) {
  if (type == Element::kFloat)
    write_lanes_as<A>(g.width, sums, scales, rows, static_cast<float*>(out.data), out.stride);
  else
    write_lanes_as<A>(g.width, sums, scales, rows, static_cast<uint16_t*>(out.data), out.stride);
}

/// The same with one scale.
template <class A>
void write_scaled_lanes(const Geometry& g, const float* sums, float scale, int rows, MutableRowsView out,
                        Element type) {
  float scales[kQueryBlock];
  for (float& s : scales) s = scale;
  write_lanes<A>(g, sums, scales, rows, out, type);
}

/// GradientRows, see there.
template <class A>
void write_rows(const Geometry& g, const GradientRows& task) {
  for (int r = 0; r < task.rows; ++r)
    for (int i = 0; i < g.width; i += A::kLanes) {
      const int count = g.width - i < A::kLanes ? g.width - i : A::kLanes;
      auto total = A::mul(A::load(task.sums + r * g.lane_words + i), A::set(task.scale));
      if (task.sum.data != nullptr) {
        float* sum = static_cast<float*>(task.sum.data) + r * task.sum.stride + i;
        if (task.add) total = A::add(total, A::load_elements(sum, count));
        A::store_elements(sum, total, count);
      }
      if (task.out.data == nullptr) continue;
      if (task.out_type == Element::kFloat)
        A::store_elements(static_cast<float*>(task.out.data) + r * task.out.stride + i, total, count);
      else
        A::store_elements(static_cast<uint16_t*>(task.out.data) + r * task.out.stride + i, total, count);
    }
}

}  // namespace
}  // namespace skipattn::attention::cpu
