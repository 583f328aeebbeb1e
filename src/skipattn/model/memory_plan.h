// MemoryPlan: buffers that are never alive at the same time share one piece of memory.
//
//   MemoryPlan plan;
//   const int a = plan.add(bytes_a, 0, 4);      // alive in steps 0 … 4
//   const int b = plan.add(bytes_b, 5, 9);      // may lie where a lay
//   plan.place();                               // plan.offset(a), plan.offset(b), plan.total()
#pragma once

#include <cstdint>
#include <vector>

namespace skipattn::model {

class MemoryPlan {
 public:
  static constexpr int64_t kAlignment = 4096;  ///< of every offset, bytes

  /// A buffer of `bytes` that is alive in steps first … last (both included); its number.
  int add(int64_t bytes, int64_t first, int64_t last);

  /// Chooses all offsets: buffers one after the other, each at the lowest place free during its life, in whichever of three
  /// orders (long-lived, large, both first) needs least.
  void place();

  /// Bytes from the start; after place().
  int64_t offset(int buffer) const { return buffers_.at(buffer).offset; }
  /// Bytes of all buffers placed.
  int64_t total() const { return total_; }
  /// Bytes alive at the same time at most: no placing can do with less.
  int64_t lower_bound() const;

 private:
  struct Buffer {
    int64_t bytes, first, last, offset;
  };
  enum class Order { kLife, kBytes, kBoth };
  std::vector<int> order_by(Order by) const;
  void place_in(const std::vector<int>& order);
  int64_t lowest_free(const Buffer& buffer, const std::vector<const Buffer*>& placed) const;

  std::vector<Buffer> buffers_;
  int64_t total_ = 0;
};

}  // namespace skipattn::model
