// The tasks of one operation, shared among workers: each goes through a run of its own, so that what it reads lies one after the
// other, and who has ended takes from the ends of others' runs.
//
//   SharedTasks tasks(workers);
//   tasks.reset(count);                                          // one thread, while nobody takes
//   for (int64_t task; (task = tasks.take(worker)) >= 0;) …      // all workers
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace skipattn::inference {

class SharedTasks {
 public:
  explicit SharedTasks(int workers) : runs_(static_cast<size_t>(workers)) {}

  /// Tasks 0 … count - 1, count below 2^31.
  void reset(int64_t count);
  /// The task that take() would give the worker out of its own run, if nobody is faster; -1: none is left there.
  int64_t next(int worker) const;
  /// A task that nobody else gets; -1: there are no more.
  int64_t take(int worker);

 private:
  /// Tasks [begin, end): end in the upper half of the number, begin in the lower. On a cache line of its own.
  struct alignas(64) Run {
    std::atomic<uint64_t> tasks{0};
  };

  std::vector<Run> runs_;  // [workers]
};

}  // namespace skipattn::inference
