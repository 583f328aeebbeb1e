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

/// Work that others wait for as a whole: each place is done when as many parts as it has are.
class Done {
 public:
  explicit Done(int64_t places) : parts_(places) {}

  void wait(int64_t place, int64_t parts) const {
    for (int spins = 0; parts_[place].load(std::memory_order_acquire) < parts; ++spins)
      if (spins > 1000) std::this_thread::yield();
  }
  void finish(int64_t place) { parts_[place].fetch_add(1, std::memory_order_release); }

 private:
  std::vector<std::atomic<int64_t>> parts_;
};

}  // namespace skipattn::attention::cpu
