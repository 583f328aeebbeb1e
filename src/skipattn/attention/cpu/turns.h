// Sums in a fixed order without locks: contributions to one place are numbered, and each waits for the one before it.
// Tasks begin in order (workers.h) and only ever wait for earlier ones, so somebody can always go on.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace skipattn::attention::cpu {

class Turns {
 public:
  explicit Turns(int64_t places) : next_(places) {}

  /// Returns when all turns before `turn` of the place are done.
  void wait(int64_t place, int turn) const {
    for (int spins = 0; next_[place].load(std::memory_order_acquire) != turn; ++spins)
      if (spins > 1000) std::this_thread::yield();
  }
  void finish(int64_t place) { next_[place].fetch_add(1, std::memory_order_release); }

 private:
  std::vector<std::atomic<int>> next_;
};

}  // namespace skipattn::attention::cpu
