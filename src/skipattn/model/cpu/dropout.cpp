#include "skipattn/model/cpu/kernels.h"

#include "skipattn/attention/dropout_hash.h"
#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

using attention::hash_row;
using attention::kHashMultiply1;
using attention::kHashMultiply2;
using attention::kHashStart;
using simd::Floats;
using simd::Words;

/// 1 for the kept ones of the 16 elements from column `column` on, 0 for the others.
SKIPATTN_INLINE Floats kept(uint32_t row_hash, int64_t column, uint32_t threshold) {
  constexpr Words kPlaces = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words x = (kPlaces + static_cast<uint32_t>(column)) * kHashStart ^ row_hash;  // hash_weight(), 16 at a time
  x ^= x >> 16;
  x *= kHashMultiply1;
  x ^= x >> 15;
  x *= kHashMultiply2;
  x ^= x >> 16;
  return x < threshold ? Floats{} : simd::splat(1.0f);
}

struct Rows {
  int64_t width;
  double p;
  uint64_t seed;
  uint32_t row_hash(int64_t row) const {
    return hash_row({.seed = static_cast<int64_t>(seed), .batch = row >> 32, .query = row});
  }
};

SKIPATTN_SIMD void mask_row(float* mask, const Rows& rows, int64_t row) {
  const uint32_t hash = rows.row_hash(row), threshold = attention::drop_threshold(rows.p);
  for (int64_t i = 0; i < rows.width; i += simd::kLanes)
    simd::store(mask + i, kept(hash, i, threshold), simd::lanes_from(rows.width - i));
}

template <typename T>
SKIPATTN_INLINE void drop_row_of(T* x, const Rows& rows, int64_t row) {
  const uint32_t hash = rows.row_hash(row), threshold = attention::drop_threshold(rows.p);
  const float scale = static_cast<float>(1.0 / (1.0 - rows.p));
  for (int64_t i = 0; i < rows.width; i += simd::kLanes) {
    const int lanes = simd::lanes_from(rows.width - i);
    simd::store(x + i, simd::load(x + i, lanes) * kept(hash, i, threshold) * scale, lanes);
  }
}
SKIPATTN_SIMD void drop_row(float* x, const Rows& rows, int64_t row) {
  drop_row_of(x, rows, row);
}
SKIPATTN_SIMD void drop_row(Bf16* x, const Rows& rows, int64_t row) {
  drop_row_of(x, rows, row);
}

template <typename Task>
void for_rows(const at::Tensor& tensor, const Rows& rows, const Task& task) {
  at::parallel_for(0, rows.width > 0 ? tensor.numel() / rows.width : 0, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) task(row);
  });
}

}  // namespace

void dropout_mask(const at::Tensor& mask, double p, uint64_t seed) {
  const Rows rows{mask.size(-1), p, seed};
  for_rows(mask, rows, [&](int64_t row) { mask_row(data<float>(mask) + row * rows.width, rows, row); });
}

void drop_in_place(const at::Tensor& x, double p, uint64_t seed) {
  const Rows rows{x.size(-1), p, seed};
  with_element_type(x, [&](auto element) {
    auto* first = data<decltype(element)>(x);
    for_rows(x, rows, [&](int64_t row) { drop_row(first + row * rows.width, rows, row); });
  });
}

}  // namespace skipattn::model::cpu
