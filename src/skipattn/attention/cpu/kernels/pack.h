// Packing rows of a tensor into the panels that the products read (kernels.h).
#pragma once

#include "skipattn/attention/cpu/kernels/kernels.h"

namespace skipattn::attention::cpu {
namespace {

/// Calls body(const T* data) with T the element type of the rows. Pairs of bf16 hold bf16 only.
template <class A, class Body>
inline void with_elements(RowsView rows, Element type, const Body& body) {
  if constexpr (A::kPair == 1)
    if (type == Element::kFloat) return body(static_cast<const float*>(rows.data));
  body(static_cast<const uint16_t*>(rows.data));
}

/// Rows lie far apart in a fused projection, where the processor's own prefetching does not follow: asks for row `r` of
/// what is packed, which will be needed soon. Rows behind the last are asked for in vain, which does no harm.
template <typename T>
inline void prefetch_row(const T* data, int64_t stride, int r, int width) {
  const char* row = reinterpret_cast<const char*>(data + r * stride);
  for (size_t at = 0; at < width * sizeof(T); at += 64) __builtin_prefetch(row + at);
}
inline constexpr int kRowsAhead = 12;

template <class A>
void pack_rows(const Geometry& g, RowsView rows, Element type, int count, uint32_t* panel) {
  with_elements<A>(rows, type, [&]<typename T>(const T* data) {
    for (int r = 0; r < count; ++r) {
      prefetch_row(data, rows.stride, r + kRowsAhead, g.width);
      for (int w = 0; w < g.row_words; w += A::kLanes)
        A::store_elements(reinterpret_cast<float*>(panel) + int64_t{r} * g.row_words + w,
                          A::load_row_words(data + r * rows.stride, w, g.width), g.row_words - w);
    }
  });
}

template <class A>
void pack_pairs(const Geometry& g, RowsView rows, Element type, int count, uint32_t* panel) {
  with_elements<A>(rows, type, [&]<typename T>(const T* data) {
    for (int r = 0; r < count; r += A::kPair, panel += g.lane_words) {
      for (int i = 0; i < A::kPair; ++i) prefetch_row(data, rows.stride, r + i + kRowsAhead, g.width);
      const T* row = data + r * rows.stride;
      const T* next = r + 1 < count ? row + rows.stride : nullptr;
      for (int w = 0; w < g.lane_words; w += A::kLanes)
        A::store_words(panel + w, A::load_pair_words(row, next, w, g.width));
    }
  });
}

template <class A>
void pack_lanes(const Geometry& g, RowsView rows, Element type, int count, uint32_t* panel) {
  constexpr int n = A::kLanes;
  with_elements<A>(rows, type, [&]<typename T>(const T* data) {
    for (int r = 0; r < n; ++r) prefetch_row(data, rows.stride, r, g.width);
    for (int q = 0; q < kQueryBlock; q += n) {
      for (int r = q + n; r < q + 2 * n; ++r) prefetch_row(data, rows.stride, r, g.width);
      for (int w = 0; w < g.row_words; w += n) {
        typename A::Vec tile[n];
#pragma GCC unroll 16
        for (int r = 0; r < n; ++r)
          tile[r] = q + r < count ? A::load_row_words(data + (q + r) * rows.stride, w, g.width) : A::zero();
        A::transpose(tile);
        for (int r = 0; r < n && w + r < g.row_words; ++r)
          A::store_words(panel + int64_t{w + r} * kQueryBlock + q, tile[r]);
      }
    }
  });
}

template <class A, typename T>
void row_dots_of(int width, const T* a, int64_t a_stride, const T* b, int64_t b_stride, int count, float* delta) {
  for (int r = 0; r < count; ++r) {
    prefetch_row(a, a_stride, r + kRowsAhead, width);
    auto sum = A::zero();
    for (int i = 0; i < width; i += A::kLanes)
      sum = A::fma(A::load_elements(a + r * a_stride + i, width - i), A::load_elements(b + r * b_stride + i, width - i),
                   sum);
    delta[r] = A::sum_lanes(sum);
  }
}

template <class A>
void row_dots(int width, RowsView a, RowsView b, Element type, int count, float* delta) {
  if (type == Element::kFloat)
    row_dots_of<A>(width, static_cast<const float*>(a.data), a.stride, static_cast<const float*>(b.data), b.stride,
                   count, delta);
  else
    row_dots_of<A>(width, static_cast<const uint16_t*>(a.data), a.stride, static_cast<const uint16_t*>(b.data),
                   b.stride, count, delta);
}

}  // namespace
}  // namespace skipattn::attention::cpu
