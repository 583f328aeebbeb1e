// Tensors that are written anew in every layer and call: their memory is kept, as fresh memory costs more than what is written
// there (the system clears each page when it is first touched).
#pragma once

#include <ATen/ops/from_blob.h>

#include <array>

#include "skipattn/inference/memory.h"

namespace skipattn::inference {

/// A tensor for each of kUses uses.
template <int kUses>
class KeptTensors {
 public:
  /// A contiguous tensor with any numbers in it. It is valid until the next one for this use.
  at::Tensor get(int use, at::IntArrayRef shape, at::ScalarType type) {
    const int64_t bytes = c10::multiply_integers(shape) * static_cast<int64_t>(c10::elementSize(type));
    LargeMemory& memory = memory_.at(static_cast<size_t>(use));
    if (memory.bytes() < bytes) {
      memory = LargeMemory();  // first, so that both are never there at once
      memory = LargeMemory(bytes);
    }
    return at::from_blob(memory.data(), shape, type);
  }

 private:
  std::array<LargeMemory, kUses> memory_;
};

}  // namespace skipattn::inference
