// Plain threads for work outside torch (tokenizing, reading). Inside tensor code use at::parallel_for instead.
#pragma once

#include <cstddef>
#include <functional>

namespace skipattn {

/// The number of processors this process may run on (respects affinity); at least 1.
int available_processors();

/// Calls task(i) for every i in [0, count) on up to `threads` threads (0: all processors), each i exactly once.
/// The first exception is rethrown here after all threads have ended.
void parallel_tasks(size_t count, int threads, const std::function<void(size_t)>& task);

}  // namespace skipattn
