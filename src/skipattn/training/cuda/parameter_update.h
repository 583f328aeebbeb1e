// ../fused/parameter_update.h on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"
#include "skipattn/training/fused/update_table.h"

namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE {

struct UpdatePointers {
  const fused::UpdateSlot* slots;
  const fused::UpdateChunk* chunks;
  int64_t chunk_count;
  double* sums;
  const fused::StepNumbers* numbers;
  fused::StepResult* result;
};
void measure_all(const UpdatePointers& update, skipattn::cuda::Stream stream);
void update_all(const UpdatePointers& update, skipattn::cuda::Stream stream);

}  // namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE
