#include "skipattn/training/batch_buffers.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace skipattn::training {

template <typename T>
bool BatchBuffers::fill_place(Place& place, const std::vector<T>& values, const data::Batch& batch) const {
  const std::vector<int64_t> shape = {batch.rows, batch.context};
  const bool wanted = !values.empty(), there = place.tensor.defined();
  const bool moves = wanted != there || (there && place.tensor.sizes() != at::IntArrayRef(shape));
  if (moves) {
    place = {};
    if (!wanted) return true;
    const auto options = at::TensorOptions(c10::CppTypeToScalarType<T>::value);
    place.tensor = at::empty(shape, options.device(device_));
    place.staging = device_.is_cpu() ? place.tensor : at::empty(shape, options.pinned_memory(true));
  }
  if (!wanted) return false;
  std::ranges::copy(values, place.staging.template data_ptr<T>());
  if (!device_.is_cpu()) place.tensor.copy_(place.staging, /*non_blocking=*/true);
  return moves;
}

bool BatchBuffers::fill(const data::Batch& batch) {
  bool moved = fill_place(tokens_, batch.tokens, batch);
  moved = fill_place(targets_, batch.targets, batch) || moved;
  moved = fill_place(positions_, batch.positions, batch) || moved;
  return fill_place(first_key_, batch.first_key, batch) || moved;
}

model::Input BatchBuffers::input(int64_t begin, int64_t count) const {
  model::Input input;
  input.tokens = tokens_.tensor.narrow(0, begin, count);
  if (positions_.tensor.defined()) input.positions = positions_.tensor.narrow(0, begin, count);
  if (first_key_.tensor.defined()) input.first_key = first_key_.tensor.narrow(0, begin, count);
  return input;
}

at::Tensor BatchBuffers::targets(int64_t begin, int64_t count) const {
  return targets_.tensor.narrow(0, begin, count).view({-1});
}

}  // namespace skipattn::training
