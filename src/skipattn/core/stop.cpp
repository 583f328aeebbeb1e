#include "skipattn/core/stop.h"

#include <atomic>
#include <csignal>

namespace skipattn {

namespace {

std::atomic<bool> stop_flag{false};
std::atomic<bool> interrupted{false};  // by SIGINT: only a second one of these ends the process
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

void on_signal(int number) {
  if (number == SIGINT && interrupted.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  stop_flag.store(true);
}

}  // namespace

void catch_stop_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) std::signal(number, on_signal);
}

bool stop_requested() {
  return stop_flag.load(std::memory_order_relaxed);
}
void request_stop() {
  stop_flag.store(true);
}
void clear_stop_request() {
  stop_flag.store(false);
  interrupted.store(false);
}

}  // namespace skipattn
