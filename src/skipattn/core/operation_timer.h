// Where the time of a step goes: named timers around its operations, off by default (then a timer is one branch).
//
//   enable_operation_timers(true);
//   { const OperationTimer timer("attention forward"); … }     // the name is a string literal
//   for (const OperationTime& time : operation_times()) fmt::print("{} {:.1f} ms\n", time.name, 1e3 * time.seconds);
//   reset_operation_times();
//
// A timer inside another one takes its time out of the outer's, so the sum over all names is the time under timers.
// For the thread that drives the operations (one at a time); timers made by other threads count nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace skipattn {

/// What one name has gathered since the last reset.
struct OperationTime {
  std::string name;
  double seconds = 0;  ///< wall time, inner timers' time left out
  int64_t calls = 0;
};

/// Switches all timers on or off from now on (not while a timer lives). The calling thread becomes the one that counts.
/// `wait` is called whenever a clock is about to be read: it waits for a device that works beside the program.
void enable_operation_timers(bool on, std::function<void()> wait = {});
bool operation_timers_enabled();
/// Times by name, in the order in which the names were first seen.
std::vector<OperationTime> operation_times();
/// Forgets all times and names.
void reset_operation_times();

/// Adds its life time to `name`'s.
class OperationTimer {
 public:
  explicit OperationTimer(const char* name);
  ~OperationTimer();
  OperationTimer(const OperationTimer&) = delete;
  OperationTimer& operator=(const OperationTimer&) = delete;

 private:
  const char* name_ = nullptr;  // null: does not count
  OperationTimer* outer_ = nullptr;
  double inner_seconds_ = 0;  // of timers that lived inside this one
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace skipattn
