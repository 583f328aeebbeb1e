#include "skipattn/model/cuda/dropout.h"

#include "skipattn/attention/dropout_hash.h"
#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

constexpr int kThreads = 256;

/// A block for a row: its hash is the same for all its elements.
template <typename T>
__global__ void drop_kernel(DropRows d, uint32_t threshold, float scale) {
  const int64_t row = blockIdx.x;
  const uint32_t hash = attention::hash_row({static_cast<int64_t>(d.seed), row >> 32, /*head=*/0, row, /*pair=*/0});
  T* x = static_cast<T*>(d.x) + row * d.width;
  for (int64_t i = threadIdx.x; i < d.width; i += blockDim.x) {
    const bool kept = attention::hash_weight(hash, static_cast<uint32_t>(i)) >= threshold;
    const float value = d.is_mask ? 1.0f : skipattn::cuda::to_float(x[i]) * scale;
    x[i] = skipattn::cuda::from_float<T>(kept ? value : 0.0f);
  }
}

}  // namespace

void drop_rows(const DropRows& d, Stream stream) {
  with_type(d.bf16, [&](auto element) {
    launch(drop_kernel<decltype(element)>, {d.rows, kThreads}, stream, d, attention::drop_threshold(d.p),
           static_cast<float>(1.0 / (1.0 - d.p)));
  });
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
