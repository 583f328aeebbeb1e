#include "skipattn/training/batch_buffers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>

#include "skipattn/data/document_starts.h"

namespace skipattn::training {

template <typename T>
bool BatchBuffers::fill_place(Place& place, const std::vector<T>& values, int64_t rows) const {
  const std::vector<int64_t> shape = {rows, static_cast<int64_t>(values.size()) / rows};
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

namespace {

constexpr int64_t kMostDocuments = 65535;  // the second dimension of a kernel's grid
constexpr int64_t kDocumentStep = 16, kShortest = 128;

struct Documents {
  std::vector<std::vector<int32_t>> starts;  // of each micro-batch
  int64_t most = 0, longest = 0;
};

Documents find_documents(const data::Batch& batch, int64_t rows) {
  Documents found;
  for (int64_t row = 0; row < batch.rows; row += rows) {
    found.starts.push_back(data::document_starts(batch, row, rows));
    const std::vector<int32_t>& starts = found.starts.back();
    found.most = std::max(found.most, static_cast<int64_t>(starts.size()));
    for (size_t i = 0; i < starts.size(); ++i) {
      const int64_t end = i + 1 < starts.size() ? starts[i + 1] : rows * batch.context;
      found.longest = std::max(found.longest, end - starts[i]);
    }
  }
  return found;
}

/// A quarter more than are there. The kernels have blocks and memory for empty places too.
int64_t room_for(int64_t documents) {
  const int64_t room = (documents + documents / 4 + kDocumentStep - 1) / kDocumentStep * kDocumentStep;
  return std::max(documents, std::min(room, kMostDocuments));
}

}  // namespace

bool BatchBuffers::fill_documents(const data::Batch& batch) {
  if (batch.first_key.empty()) return fill_place(starts_, std::vector<int32_t>(), 1);
  const int64_t rows = micro_batch_ > 0 ? micro_batch_ : batch.rows;
  Documents found = find_documents(batch, rows);
  if (found.most > documents_) documents_ = room_for(found.most);
  const bool longer = found.longest > longest_;
  if (longer)
    longest_ = std::min(batch.context,
                        std::max(kShortest, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(found.longest)))));
  std::vector<int32_t> padded;
  for (std::vector<int32_t>& starts : found.starts) {
    starts.resize(documents_ + 1, static_cast<int32_t>(rows * batch.context));
    padded.insert(padded.end(), starts.begin(), starts.end());
  }
  return fill_place(starts_, padded, batch.rows / rows) || longer;
}

bool BatchBuffers::fill(const data::Batch& batch) {
  bool moved = fill_place(tokens_, batch.tokens, batch.rows);
  moved = fill_place(targets_, batch.targets, batch.rows) || moved;
  moved = fill_place(positions_, batch.positions, batch.rows) || moved;
  moved = fill_place(first_key_, batch.first_key, batch.rows) || moved;
  return fill_documents(batch) || moved;
}

at::Tensor BatchBuffers::rows(const Place& place, int64_t number) const {
  return micro_batch_ > 0 ? place.tensor.narrow(0, number * micro_batch_, micro_batch_) : place.tensor;
}

model::Input BatchBuffers::input(int64_t number) const {
  model::Input input;
  input.tokens = rows(tokens_, number);
  if (positions_.tensor.defined()) input.positions = rows(positions_, number);
  if (first_key_.tensor.defined()) input.first_key = rows(first_key_, number);
  if (starts_.tensor.defined()) input.documents = {starts_.tensor[number], longest_};
  return input;
}

at::Tensor BatchBuffers::targets(int64_t number) const {
  return rows(targets_, number).view({-1});
}

}  // namespace skipattn::training
