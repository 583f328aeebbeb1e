#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "skipattn/training/cpu/adamw.h"
#include "skipattn/training/cpu/kernels.h"

namespace skipattn::training::cpu {

namespace {

using fused::StepNumbers;
using fused::StepResult;
using fused::UpdateChunk;
using fused::UpdateSlot;

template <typename T>
T* structs(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

/// Calls task(chunk number, its slot, begin, end) for every chunk, on all threads.
template <typename Task>
void for_each_chunk(const fused::UpdateTable& table, const Task& task) {
  const auto* slots = structs<UpdateSlot>(table.slots);
  const auto* chunks = structs<UpdateChunk>(table.chunks);
  at::parallel_for(0, table.chunk_count, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const UpdateSlot& slot = slots[chunks[i].slot];
      task(i, slot, chunks[i].begin, std::min(chunks[i].begin + fused::kUpdateChunk, slot.count));
    }
  });
}

}  // namespace

void measure_gradients(const fused::UpdateTable& table) {
  double* sums = structs<double>(table.sums);
  for_each_chunk(table, [&](int64_t number, const UpdateSlot& slot, int64_t begin, int64_t end) {
    sums[number] = slot.gradient_is_bf16
                       ? sum_of_squares(static_cast<const Bf16*>(slot.gradient) + begin, end - begin)
                       : sum_of_squares(static_cast<const float*>(slot.gradient) + begin, end - begin);
  });
  auto& result = *structs<StepResult>(table.result);
  const double clip = structs<StepNumbers>(table.numbers)->grad_clip;
  result.norm = std::sqrt(std::accumulate(sums, sums + table.chunk_count, 0.0));
  result.gradient_scale = clip > 0 ? std::min(1.0, clip / (result.norm + 1e-6)) : 1.0;
  result.skipped = std::isfinite(result.loss) && std::isfinite(result.norm) ? 0.0 : 1.0;
}

void update_parameters(const fused::UpdateTable& table) {
  const auto& numbers = *structs<StepNumbers>(table.numbers);
  const auto& result = *structs<StepResult>(table.result);
  if (result.skipped != 0) return;
  AdamWFactors factors;
  factors.gradient_scale = static_cast<float>(result.gradient_scale);
  factors.beta1 = numbers.beta1;
  factors.beta2 = numbers.beta2;
  factors.step_size = numbers.step_size;
  factors.inverse_root_correction2 = numbers.inverse_root_correction2;
  factors.epsilon = numbers.epsilon;
  for_each_chunk(table, [&](int64_t, const UpdateSlot& slot, int64_t begin, int64_t end) {
    AdamWFactors own = factors;
    own.shrink = slot.decays ? numbers.shrink : 1.0f;
    update_range({slot.master, slot.compute, slot.first_moment, slot.second_moment, slot.gradient, slot.compute_is_bf16,
                  slot.gradient_is_bf16},
                 begin, end, own);
  });
}

}  // namespace skipattn::training::cpu
