#include "skipattn/inference/worker_pool.h"

// A sanitizer of threads does not understand OpenMP's barriers.
#if defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
#include <omp.h>
#define SKIPATTN_OPENMP_TEAM
#endif

namespace skipattn::inference {

namespace {

constexpr int kSpins = 3000;  // some 50 microseconds

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns once the number is no longer `old`.
void wait_for_change(const std::atomic<uint32_t>& number, uint32_t old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (number.load(std::memory_order_acquire) != old) return;
    pause();
  }
  number.wait(old, std::memory_order_acquire);
}

/// Runs the task on the threads that also run torch's parallel loops. False: there are not as many to be had, and nothing ran.
bool run_on_openmp_team(int workers, const std::function<void(int)>& task) {
  bool done = false;
#if defined(SKIPATTN_OPENMP_TEAM)
  if (workers != omp_get_max_threads() || omp_in_parallel() != 0) return false;
#pragma omp parallel num_threads(workers)
  {
    // All or none, as they will wait for each other.
    if (omp_get_num_threads() == workers) {
      task(omp_get_thread_num());
      if (omp_get_thread_num() == 0) done = true;
    }
  }
#endif
  return done;
}

}  // namespace

WorkerPool::WorkerPool(int workers) : workers_(workers) {
  for (int worker = 1; worker < workers; ++worker) threads_.emplace_back([this, worker] { serve(worker); });
}

WorkerPool::~WorkerPool() {
  ending_ = true;
  begun_.fetch_add(1, std::memory_order_release);
  begun_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::serve(int worker) {
  for (uint32_t seen = 0;; ++seen) {
    wait_for_change(begun_, seen);
    if (ending_) return;
    (*task_)(worker);
    barrier();
  }
}

void WorkerPool::run(const std::function<void(int)>& task) {
  if (run_on_openmp_team(workers_, task)) return;
  task_ = &task;
  if (workers_ > 1) {
    begun_.fetch_add(1, std::memory_order_release);
    begun_.notify_all();
  }
  task(0);
  barrier();
}

bool WorkerPool::is_last() {
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < workers_) return false;
  arrived_.store(0, std::memory_order_relaxed);
  barriers_.fetch_add(1, std::memory_order_release);
  barriers_.notify_all();
  return true;
}

void WorkerPool::wait_for_others(uint32_t number) {
  wait_for_change(barriers_, number);
}

}  // namespace skipattn::inference
