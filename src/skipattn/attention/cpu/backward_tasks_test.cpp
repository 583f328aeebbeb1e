#include "skipattn/attention/cpu/backward_tasks.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

namespace skipattn::attention::cpu {
namespace {

/// Every block of every unit is prepared once and every chunk read once; and in the list stand, before a unit's chunks, all
/// its blocks, and before its blocks all chunks of the unit whose memory it takes.
void expect_sound(const BackwardWork& work) {
  std::map<int64_t, int64_t> prepared, read;  // tasks so far, of each unit
  std::set<std::tuple<int64_t, int64_t, int64_t, int64_t>> seen;
  for (const BackwardTask& task : list_backward_tasks(work)) {
    EXPECT_TRUE(seen.insert({task.unit, task.first_block, task.pair, task.chunk}).second);
    if (task.first_block >= 0) {
      EXPECT_EQ(task.first_block % kPreparedBlocks, 0);
      EXPECT_LT(task.first_block, work.blocks);
      const int64_t before = task.unit - work.slots();
      if (before >= 0) {
        EXPECT_EQ(read[before], work.chunk_tasks(before)) << task.unit;
      }
      ++prepared[task.unit];
    } else {
      EXPECT_EQ(prepared[task.unit], work.prepare_tasks()) << task.unit;
      EXPECT_LT(task.chunk, work.chunks);
      ++read[task.unit];
    }
  }
  for (int64_t unit = 0; unit < work.units; ++unit) {
    EXPECT_EQ(prepared[unit], work.prepare_tasks());
    EXPECT_EQ(read[unit], work.chunk_tasks(unit));
  }
}

TEST(BackwardTasks, WhatATaskWaitsForStandsBeforeIt) {
  for (const int64_t group_units : {1, 2, 5, 12})
    for (const int64_t chunks : {0, 1, 3})
      for (const std::vector<int64_t>& pairs : {std::vector<int64_t>{1, 1, 1}, {2, 0, 1}, {0, 0}, {0, 3, 0, 0, 1}})
        for (const int64_t batch : {1, 4})
          expect_sound({.units = batch * std::ssize(pairs),
                        .blocks = 19,
                        .chunks = chunks,
                        .pairs = pairs,
                        .group_units = group_units});
}

}  // namespace
}  // namespace skipattn::attention::cpu
