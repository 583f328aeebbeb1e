// How the elementwise kernels cut their rows: into blocks whose number and size depend on the number of rows alone, so
// that sums over rows come out the same for any number of threads. Also the element types they are written for.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "skipattn/core/simd.h"

namespace skipattn::model::cpu {

inline constexpr int64_t kMaxRowBlocks = 128;  // at most fused::kNormParts

inline int64_t rows_per_block(int64_t rows) {
  return std::max<int64_t>(16, (rows + kMaxRowBlocks - 1) / kMaxRowBlocks);
}
inline int64_t row_blocks(int64_t rows) {
  return (rows + rows_per_block(rows) - 1) / rows_per_block(rows);
}

/// task(block, first row, one past the last row) for every block, on all threads.
template <typename Task>
void for_row_blocks(int64_t rows, const Task& task) {
  const int64_t step = rows_per_block(rows);
  at::parallel_for(0, row_blocks(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) task(block, block * step, std::min(rows, (block + 1) * step));
  });
}

/// The data of an fp32 or bf16 tensor as the kernels' element type.
template <typename T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// call(T{}) with T = float or Bf16, the tensor's element type.
template <typename Call>
void with_element_type(const at::Tensor& tensor, const Call& call) {
  if (tensor.scalar_type() == at::kBFloat16) {
    call(Bf16{});
  } else {
    TORCH_INTERNAL_ASSERT(tensor.scalar_type() == at::kFloat, "fused kernels take fp32 and bf16");
    call(float{});
  }
}

/// total[i] = (add ? total[i] : 0) + partial[i] + partial[stride + i] + … for `blocks` blocks, in this order.
void sum_blocks(const float* partial, int64_t blocks, int64_t stride, int64_t count, float* total, bool add);

}  // namespace skipattn::model::cpu
