#include "skipattn/attention/cpu/head_runs.h"

#include <gtest/gtest.h>

namespace skipattn::attention::cpu {
namespace {

std::vector<int64_t> lengths(const HeadPairs& pairs) {
  std::vector<int64_t> result;
  int64_t next = 0;
  for (const HeadRun& run : find_head_runs(pairs)) {
    EXPECT_EQ(run.first_head, next);
    next += run.head_count;
    result.push_back(run.head_count);
  }
  return result;
}

TEST(HeadRuns, NeighboursOfOneTensorAreOneRun) {
  EXPECT_EQ(lengths({{{0, 0, 1, 0}}, {{0, 1, 1, 1}}, {{0, 2, 1, 2}}}), (std::vector<int64_t>{3}));
  EXPECT_EQ(lengths({{{0, 5, 1, 2}}, {{0, 6, 1, 3}}}), (std::vector<int64_t>{2}));
}

TEST(HeadRuns, AnyDifferenceEndsTheRun) {
  EXPECT_EQ(lengths({{{0, 0, 1, 0}}, {{2, 1, 1, 1}}}), (std::vector<int64_t>{1, 1}));  // other key tensor
  EXPECT_EQ(lengths({{{0, 0, 1, 0}}, {{0, 1, 3, 1}}}), (std::vector<int64_t>{1, 1}));  // other value tensor
  EXPECT_EQ(lengths({{{0, 0, 1, 0}}, {{0, 0, 1, 1}}}), (std::vector<int64_t>{1, 1}));  // the same key head again
  EXPECT_EQ(lengths({{{0, 0, 1, 0}}, {{0, 1, 1, 2}}}), (std::vector<int64_t>{1, 1}));  // a value head left out
}

TEST(HeadRuns, JointPairsRunTogether) {
  const std::vector<Pair> first = {{0, 0, 1, 0}, {2, 4, 3, 4}}, second = {{0, 1, 1, 1}, {2, 5, 3, 5}};
  EXPECT_EQ(lengths({first, second}), (std::vector<int64_t>{2}));
  EXPECT_EQ(lengths({first, {second[0]}}), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(find_head_runs({first, second})[0].pairs.size(), 2);
}

TEST(HeadRuns, EmptyHeadsRunTogether) {
  EXPECT_EQ(lengths({{}, {}, {{0, 0, 1, 0}}}), (std::vector<int64_t>{2, 1}));
}

}  // namespace
}  // namespace skipattn::attention::cpu
