#include "skipattn/model/cpu/rows.h"

namespace skipattn::model::cpu {

namespace {

SKIPATTN_SIMD void sum_columns(const float* partial, int64_t blocks, int64_t stride, float* total, bool add,
                               int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += simd::kLanes) {
    const int lanes = simd::lanes_from(end - i);
    simd::Floats sum = add ? simd::load(total + i, lanes) : simd::Floats{};
    for (int64_t block = 0; block < blocks; ++block) sum += simd::load(partial + block * stride + i, lanes);
    simd::store(total + i, sum, lanes);
  }
}

}  // namespace

void sum_blocks(const float* partial, int64_t blocks, int64_t stride, int64_t count, float* total, bool add) {
  at::parallel_for(0, count, 256,
                   [&](int64_t begin, int64_t end) { sum_columns(partial, blocks, stride, total, add, begin, end); });
}

}  // namespace skipattn::model::cpu
