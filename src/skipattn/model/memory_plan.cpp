#include "skipattn/model/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace skipattn::model {

int MemoryPlan::add(int64_t bytes, int64_t first, int64_t last) {
  buffers_.push_back({(bytes + kAlignment - 1) / kAlignment * kAlignment, first, last, 0});
  return static_cast<int>(buffers_.size()) - 1;
}

int64_t MemoryPlan::lowest_free(const Buffer& buffer, const std::vector<const Buffer*>& placed) const {
  std::vector<std::pair<int64_t, int64_t>> taken;  // [begin, end) while this buffer lives
  for (const Buffer* other : placed)
    if (other->first <= buffer.last && buffer.first <= other->last)
      taken.emplace_back(other->offset, other->offset + other->bytes);
  std::sort(taken.begin(), taken.end());
  int64_t offset = 0;
  for (const auto& [begin, end] : taken) {
    if (begin - offset >= buffer.bytes) break;
    offset = std::max(offset, end);
  }
  return offset;
}

void MemoryPlan::place() {
  std::vector<int> order(buffers_.size());
  std::iota(order.begin(), order.end(), 0);
  const auto before = [&](int a, int b) {
    const Buffer &x = buffers_[a], &y = buffers_[b];
    const int64_t life_x = x.last - x.first, life_y = y.last - y.first;
    return life_x != life_y ? life_x > life_y : x.bytes > y.bytes;
  };
  std::stable_sort(order.begin(), order.end(), before);
  std::vector<const Buffer*> placed;
  total_ = 0;
  for (const int index : order) {
    Buffer& buffer = buffers_[index];
    buffer.offset = lowest_free(buffer, placed);
    total_ = std::max(total_, buffer.offset + buffer.bytes);
    placed.push_back(&buffer);
  }
}

int64_t MemoryPlan::lower_bound() const {
  int64_t most = 0;
  for (const Buffer& at : buffers_) {
    int64_t alive = 0;
    for (const Buffer& other : buffers_)
      if (other.first <= at.first && at.first <= other.last) alive += other.bytes;
    most = std::max(most, alive);
  }
  return most;
}

}  // namespace skipattn::model
