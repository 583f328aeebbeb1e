#include "skipattn/core/operation_timer.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>

namespace skipattn {

namespace {

std::atomic<bool> enabled{false};
std::mutex times_mutex;
std::vector<OperationTime> times;       // guarded by times_mutex
thread_local bool counts_here = false;  // this thread called enable_operation_timers()
thread_local OperationTimer* innermost = nullptr;
std::function<void()> wait_for_device;  // read and written by the thread that counts

std::chrono::steady_clock::time_point now() {
  if (wait_for_device) wait_for_device();
  return std::chrono::steady_clock::now();
}

void add_time(std::string_view name, double seconds) {
  const std::lock_guard lock(times_mutex);
  auto found = std::find_if(times.begin(), times.end(), [&](const OperationTime& time) { return time.name == name; });
  if (found == times.end()) found = times.insert(times.end(), {std::string(name), 0.0, 0});
  found->seconds += seconds;
  ++found->calls;
}

}  // namespace

void enable_operation_timers(bool on, std::function<void()> wait) {
  counts_here = on;
  wait_for_device = std::move(wait);
  enabled.store(on);
}

bool operation_timers_enabled() {
  return enabled.load(std::memory_order_relaxed);
}

std::vector<OperationTime> operation_times() {
  const std::lock_guard lock(times_mutex);
  return times;
}

void reset_operation_times() {
  const std::lock_guard lock(times_mutex);
  times.clear();
}

OperationTimer::OperationTimer(const char* name) {
  if (!operation_timers_enabled() || !counts_here) return;
  name_ = name;
  outer_ = innermost;
  innermost = this;
  begin_ = now();
}

OperationTimer::~OperationTimer() {
  if (name_ == nullptr) return;
  const double seconds = std::chrono::duration<double>(now() - begin_).count();
  innermost = outer_;
  if (outer_ != nullptr) outer_->inner_seconds_ += seconds;
  add_time(name_, seconds - inner_seconds_);
}

}  // namespace skipattn
