#include "skipattn/model/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

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

std::vector<int> MemoryPlan::order_by(Order by) const {
  const auto key = [&](int index) -> std::pair<int64_t, int64_t> {
    const Buffer& x = buffers_[index];
    const int64_t life = x.last - x.first + 1;
    if (by == Order::kLife) return {life, x.bytes};
    return by == Order::kBytes ? std::pair(x.bytes, life) : std::pair(x.bytes * life, life);
  };
  std::vector<int> order(buffers_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) > key(b); });
  return order;
}

void MemoryPlan::place_in(const std::vector<int>& order) {
  std::vector<const Buffer*> placed;
  total_ = 0;
  for (const int index : order) {
    Buffer& buffer = buffers_[index];
    buffer.offset = lowest_free(buffer, placed);
    total_ = std::max(total_, buffer.offset + buffer.bytes);
    placed.push_back(&buffer);
  }
}

void MemoryPlan::place() {
  Order best = Order::kLife;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const Order by : {Order::kLife, Order::kBytes, Order::kBoth}) {
    place_in(order_by(by));
    if (total_ < least) {
      least = total_;
      best = by;
    }
  }
  place_in(order_by(best));
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
