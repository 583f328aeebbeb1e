#include "skipattn/inference/shared_tasks.h"

namespace skipattn::inference {

namespace {

constexpr uint64_t kOneEnd = uint64_t{1} << 32;

uint32_t begin_of(uint64_t tasks) {
  return static_cast<uint32_t>(tasks);
}
uint32_t end_of(uint64_t tasks) {
  return static_cast<uint32_t>(tasks >> 32);
}

int64_t take_first(std::atomic<uint64_t>& run) {
  for (uint64_t tasks = run.load(std::memory_order_relaxed); begin_of(tasks) < end_of(tasks);)
    if (run.compare_exchange_weak(tasks, tasks + 1, std::memory_order_relaxed)) return begin_of(tasks);
  return -1;
}

int64_t take_last(std::atomic<uint64_t>& run) {
  for (uint64_t tasks = run.load(std::memory_order_relaxed); begin_of(tasks) < end_of(tasks);)
    if (run.compare_exchange_weak(tasks, tasks - kOneEnd, std::memory_order_relaxed)) return end_of(tasks) - 1;
  return -1;
}

}  // namespace

void SharedTasks::reset(int64_t count) {
  const auto workers = static_cast<int64_t>(runs_.size());
  for (int64_t worker = 0; worker < workers; ++worker) {
    const auto begin = static_cast<uint64_t>(worker * count / workers);
    const auto end = static_cast<uint64_t>((worker + 1) * count / workers);
    runs_[static_cast<size_t>(worker)].tasks.store(begin | end * kOneEnd, std::memory_order_relaxed);
  }
}

int64_t SharedTasks::next(int worker) const {
  const uint64_t tasks = runs_[static_cast<size_t>(worker)].tasks.load(std::memory_order_relaxed);
  return begin_of(tasks) < end_of(tasks) ? int64_t{begin_of(tasks)} : -1;
}

int64_t SharedTasks::take(int worker) {
  const int64_t own = take_first(runs_[static_cast<size_t>(worker)].tasks);
  if (own >= 0) return own;
  for (size_t step = 1; step < runs_.size(); ++step) {
    const int64_t other = take_last(runs_[(static_cast<size_t>(worker) + step) % runs_.size()].tasks);
    if (other >= 0) return other;
  }
  return -1;
}

}  // namespace skipattn::inference
