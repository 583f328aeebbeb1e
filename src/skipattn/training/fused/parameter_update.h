// The norm of all gradients and the AdamW step of all parameters, each in one pass over memory. Everything they read and
// write lies in the device's memory, so that a step that was recorded can be run again with other numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/training/fused/update_table.h"

namespace skipattn::training::fused {

/// Made once for slots and gradients that stay at their places (../optimizer.h). uint8 tensors hold structs.
struct UpdateTable {
  at::Tensor slots = {};    ///< UpdateSlot [parameters]
  at::Tensor chunks = {};   ///< UpdateChunk [chunk_count]
  int64_t chunk_count = 0;  ///< of all slots, in their order
  at::Tensor sums = {};     ///< fp64 [chunk_count], scratch
  at::Tensor numbers = {};  ///< StepNumbers
  at::Tensor result = {};   ///< fp64 [4], a StepResult
};

/// Sums the squares in fp64 in a fixed order and fills the result, but for its loss.
void measure_gradients(const UpdateTable& table);

/// Updates masters and moments and refreshes the compute copies, unless the result says that the step is skipped.
void update_parameters(const UpdateTable& table);

}  // namespace skipattn::training::fused
