// The tasks of a backward pass in one list, so that nothing waits for all threads. A unit is a KV head of a batch element:
// its queries are packed first, then come its chunks of keys. Threads take tasks in order and wait for earlier ones only.
#pragma once

#include <cstdint>
#include <vector>

namespace skipattn::attention::cpu {

/// Blocks of queries that one task prepares.
inline constexpr int64_t kPreparedBlocks = 8;

/// Either some blocks of a unit's queries to prepare, or a chunk of keys of one of its pairs.
struct BackwardTask {
  int64_t unit = 0;
  int64_t first_block = -1;  ///< of the unit's blocks; -1: a chunk
  int64_t pair = 0, chunk = 0;
};

struct BackwardWork {
  int64_t units = 0;           ///< unit u is KV head u % pairs.size()
  int64_t blocks = 0;          ///< of queries, of all query heads of a unit
  int64_t chunks = 0;          ///< of keys; 0: there are none
  std::vector<int64_t> pairs;  ///< per KV head, how many it reads
  int64_t group_units = 1;     ///< units in work at once, while as many more are prepared

  /// Units whose packed queries are in memory at once; a unit takes the memory of the one so many before it.
  int64_t slots() const;
  /// Tasks that prepare one unit, and those that go through its keys.
  int64_t prepare_tasks() const { return (blocks + kPreparedBlocks - 1) / kPreparedBlocks; }
  int64_t chunk_tasks(int64_t unit) const { return chunks * pairs[unit % static_cast<int64_t>(pairs.size())]; }
};

std::vector<BackwardTask> list_backward_tasks(const BackwardWork& work);

}  // namespace skipattn::attention::cpu
