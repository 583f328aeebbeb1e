#include "skipattn/attention/cpu/backward_tasks.h"

#include <algorithm>

namespace skipattn::attention::cpu {
namespace {

void prepare_group(const BackwardWork& work, int64_t first, std::vector<BackwardTask>& tasks) {
  for (int64_t unit = first; unit < std::min(work.units, first + work.group_units); ++unit)
    for (int64_t block = 0; block < work.blocks; block += kPreparedBlocks)
      tasks.push_back({.unit = unit, .first_block = block});
}

void read_chunk(const BackwardWork& work, int64_t first, int64_t chunk, std::vector<BackwardTask>& tasks) {
  for (int64_t unit = first; unit < std::min(work.units, first + work.group_units); ++unit)
    for (int64_t pair = 0; pair < work.pairs[unit % std::ssize(work.pairs)]; ++pair)
      tasks.push_back({.unit = unit, .pair = pair, .chunk = chunk});
}

}  // namespace

int64_t BackwardWork::slots() const {
  return std::min(units, 2 * group_units);
}

std::vector<BackwardTask> list_backward_tasks(const BackwardWork& work) {
  std::vector<BackwardTask> tasks;
  const bool reads = work.chunks > 0 && std::ranges::any_of(work.pairs, [](int64_t count) { return count > 0; });
  prepare_group(work, 0, tasks);
  for (int64_t first = 0; first < work.units; first += work.group_units) {
    for (int64_t chunk = 0; reads && chunk < work.chunks; ++chunk) {
      read_chunk(work, first, chunk, tasks);
      // Not before the group's first chunks: the group before it, whose memory the next one takes, is done by then.
      if (chunk == 0) prepare_group(work, first + work.group_units, tasks);
    }
    if (!reads) prepare_group(work, first + work.group_units, tasks);
  }
  return tasks;
}

}  // namespace skipattn::attention::cpu
