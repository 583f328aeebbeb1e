// A batch as tensors that stay at their places from step to step, on the CPU or on a card; a card's are filled from pinned
// memory without waiting for it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "skipattn/data/loader.h"
#include "skipattn/model/decoder.h"

namespace skipattn::training {

class BatchBuffers {
 public:
  /// micro_batch: rows of one, of which batches have a multiple; 0: a batch is a single one.
  explicit BatchBuffers(at::Device device, int64_t micro_batch = 0) : device_(device), micro_batch_(micro_batch) {}

  /// Not before the device has done what was begun with the last batch. Returns whether a step must be recorded anew: with
  /// the first batch, whenever its shape changes, and when there are more or longer documents than there is room for.
  bool fill(const data::Batch& batch);

  /// Micro-batch `number` as a decoder's input.
  model::Input input(int64_t number = 0) const;
  /// Its targets, flat int64 [micro_batch * T].
  at::Tensor targets(int64_t number = 0) const;

 private:
  /// One of the batch's lists; both tensors undefined where the batch has none. On the CPU they are the same.
  struct Place {
    at::Tensor staging;  // in memory that the host writes
    at::Tensor tensor;   // [rows, values of a row] on the device
  };
  template <typename T>
  bool fill_place(Place& place, const std::vector<T>& values, int64_t rows) const;
  bool fill_documents(const data::Batch& batch);
  at::Tensor rows(const Place& place, int64_t number) const;

  at::Device device_;
  int64_t micro_batch_;
  int64_t documents_ = 0;  // of a micro-batch that there is room for
  int64_t longest_ = 0;    // tokens of a document that the device is told to expect
  Place tokens_, targets_, positions_, first_key_;
  Place starts_;  // [micro-batches, documents_ + 1]
};

}  // namespace skipattn::training
