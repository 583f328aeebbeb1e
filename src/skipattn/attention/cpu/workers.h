// Tasks with an order: each thread takes the next index when it is free, so a task that waits for an earlier one never
// waits for work that nobody has begun.
#pragma once

#include <cstdint>
#include <functional>

namespace skipattn::attention::cpu {

/// Calls task(index, worker) for every index in [0, count), each once, begun in order, on torch's threads (plain threads
/// under the thread sanitizer, which cannot see into OpenMP). worker is below worker_count().
void run_tasks(int64_t count, const std::function<void(int64_t index, int worker)>& task);

/// Threads that run_tasks() uses at most.
int worker_count();

}  // namespace skipattn::attention::cpu
