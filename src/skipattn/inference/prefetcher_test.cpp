#include "skipattn/inference/prefetcher.h"

#include <gtest/gtest.h>

namespace skipattn::inference {
namespace {

int64_t steps(Prefetcher& prefetcher) {
  int64_t count = 0;
  while (prefetcher.step()) ++count;
  return count;
}

TEST(Prefetcher, StepsThroughAllPiecesOnce) {
  std::vector<char> memory(4096);
  Prefetcher prefetcher;
  EXPECT_FALSE(prefetcher.step());
  prefetcher.add(memory.data(), Prefetcher::kStep * 2 + 1);
  prefetcher.add(memory.data(), 0);
  prefetcher.add(memory.data(), 64);
  EXPECT_EQ(prefetcher.bytes(), Prefetcher::kStep * 2 + 65);
  EXPECT_EQ(steps(prefetcher), 4);
  EXPECT_FALSE(prefetcher.step());
}

TEST(Prefetcher, TakesNoMoreThanTheCacheHolds) {
  std::vector<char> memory(Prefetcher::kMostBytes);
  Prefetcher prefetcher;
  prefetcher.add(memory.data(), Prefetcher::kMostBytes - Prefetcher::kStep);
  EXPECT_FALSE(prefetcher.is_full());
  prefetcher.add(memory.data(), Prefetcher::kMostBytes);
  prefetcher.add(memory.data(), 64);
  EXPECT_TRUE(prefetcher.is_full());
  EXPECT_EQ(steps(prefetcher), Prefetcher::kMostBytes / Prefetcher::kStep);
}

TEST(Prefetcher, ForgetsWhatWasNotAskedFor) {
  std::vector<char> memory(4096);
  Prefetcher prefetcher;
  prefetcher.add(memory.data(), 4096);
  prefetcher.step();
  prefetcher.clear();
  EXPECT_EQ(prefetcher.bytes(), 0);
  EXPECT_EQ(steps(prefetcher), 0);
}

}  // namespace
}  // namespace skipattn::inference
