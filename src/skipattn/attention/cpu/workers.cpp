#include "skipattn/attention/cpu/workers.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace skipattn::attention::cpu {

int worker_count() {
  return at::get_num_threads();
}

void run_tasks(int64_t count, const std::function<void(int64_t, int)>& task) {
  std::atomic<int64_t> next{0};
  const auto work = [&](int worker) {
    for (int64_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(index, worker);
  };
  const int workers = static_cast<int>(std::min<int64_t>(worker_count(), count));
  if (workers <= 1) {
    work(0);
    return;
  }
#if defined(__SANITIZE_THREAD__)
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
#else
  // The tasks are plain arithmetic and do not throw. Inside another parallel region one thread does them all.
  at::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(static_cast<int>(i));
  });
#endif
}

}  // namespace skipattn::attention::cpu
