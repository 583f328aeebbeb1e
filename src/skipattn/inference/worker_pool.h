// Threads that do one short piece of work together again and again, as decoding a token does: a few microseconds of work,
// everybody waits for everybody, the next piece. Waiting threads spin for a moment before they sleep.
//
// Where OpenMP has as many threads as the pool has workers, they do the work: after each of torch's parallel loops they stay awake
// for a while, and threads of our own would have to share the processors with them. Own threads are for all other numbers.
//
//   WorkerPool pool(2);
//   pool.run([&](int worker) {
//     …;                 // each worker's part of the first piece
//     pool.barrier();    // all parts are done, and all see what the others wrote
//     …;
//     pool.barrier([&] { return prefetcher.step(); });  // something useful to do while others are awaited
//   });
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace skipattn::inference {

class WorkerPool {
 public:
  /// `workers` 1 or more, the calling thread among them.
  explicit WorkerPool(int workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const { return workers_; }
  /// Calls task(worker) once for each worker, all at a time, and returns when all have ended; worker 0 is the calling
  /// thread. For one caller at a time. The task must not throw.
  void run(const std::function<void(int worker)>& task);
  /// Inside a task, called by all workers alike.
  void barrier() {
    barrier([] { return false; });
  }
  /// The same. Who waits for others calls `meanwhile` again and again, until they have come or it returns false; it must be
  /// short, as nobody goes on before it returns.
  template <typename Meanwhile>
  void barrier(const Meanwhile& meanwhile) {
    if (workers_ == 1) return;
    const uint32_t number = barriers_.load(std::memory_order_relaxed);
    if (is_last()) return;
    while (barriers_.load(std::memory_order_relaxed) == number && meanwhile()) {
    }
    wait_for_others(number);
  }

 private:
  void serve(int worker);
  /// Says that this worker has come to the barrier, which ends with the last.
  bool is_last();
  /// Returns when as many barriers are over as `number` and one more.
  void wait_for_others(uint32_t number);

  const int workers_;
  std::vector<std::thread> threads_;
  const std::function<void(int)>* task_ = nullptr;
  bool ending_ = false;
  // Each on a cache line of its own.
  alignas(64) std::atomic<uint32_t> begun_{0};     // tasks given out
  alignas(64) std::atomic<int> arrived_{0};        // at the barrier at hand
  alignas(64) std::atomic<uint32_t> barriers_{0};  // that all have left
};

}  // namespace skipattn::inference
