// A batch as tensors that stay at their places from step to step, on the CPU or on a card; a card's are filled from pinned
// memory without waiting for it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "skipattn/data/loader.h"
#include "skipattn/model/decoder.h"

namespace skipattn::training {

class BatchBuffers {
 public:
  explicit BatchBuffers(at::Device device) : device_(device) {}

  /// Not before the device has done what was begun with the last batch. Returns whether the tensors moved: with the first
  /// batch and whenever its shape changes.
  bool fill(const data::Batch& batch);

  /// Rows [begin, begin + count) as a decoder's input.
  model::Input input(int64_t begin, int64_t count) const;
  /// Their targets, flat int64 [count * T].
  at::Tensor targets(int64_t begin, int64_t count) const;

 private:
  /// One of the batch's lists; both tensors undefined where the batch has none. On the CPU they are the same.
  struct Place {
    at::Tensor staging;  // in memory that the host writes
    at::Tensor tensor;   // [B, T] on the device
  };
  template <typename T>
  bool fill_place(Place& place, const std::vector<T>& values, const data::Batch& batch) const;

  at::Device device_;
  Place tokens_, targets_, positions_, first_key_;
};

}  // namespace skipattn::training
