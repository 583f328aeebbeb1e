#include "skipattn/data/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <vector>

namespace skipattn::data {
namespace {

std::vector<uint64_t> order_of(uint64_t count, uint64_t seed) {
  const Permutation permutation(count, seed);
  std::vector<uint64_t> order(count);
  for (uint64_t i = 0; i < count; ++i) order[i] = permutation(i);
  return order;
}

TEST(Permutation, HoldsEveryNumberOnce) {
  for (const uint64_t count : {1, 2, 3, 4, 5, 7, 15, 16, 17, 63, 64, 65, 1000, 4095, 4096, 4097, 100000}) {
    std::vector<uint64_t> order = order_of(count, count * 7 + 1);
    std::sort(order.begin(), order.end());
    for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(order[i], i) << count;
  }
}

TEST(Permutation, DependsOnTheSeedAlone) {
  EXPECT_EQ(order_of(1000, 5), order_of(1000, 5));
  EXPECT_NE(order_of(1000, 5), order_of(1000, 6));
}

TEST(Permutation, EveryNumberIsAsLikelyAtEveryPlace) {
  constexpr int kCount = 11, kDraws = 11000;
  std::vector<std::vector<int>> seen(kCount, std::vector<int>(kCount));
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    const auto order = order_of(kCount, seed);
    for (int place = 0; place < kCount; ++place) ++seen[place][order[place]];
  }
  for (const auto& row : seen)
    for (const int count : row) EXPECT_NEAR(count, kDraws / kCount, 170);  // 5.6 standard deviations
}

TEST(Permutation, NeighboursDoNotStayNeighbours) {
  const auto order = order_of(100000, 3);
  int near = 0;
  for (size_t i = 1; i < order.size(); ++i)
    near += (order[i] > order[i - 1] ? order[i] - order[i - 1] : order[i - 1] - order[i]) < 100;
  EXPECT_NEAR(near, 200, 80);  // two in a thousand by chance
}

TEST(Permutation, WorksForCountsNoVectorCouldHold) {
  const uint64_t count = (uint64_t{1} << 62) + 12345;
  const Permutation permutation(count, 1);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_LT(permutation(i), count);
  EXPECT_NE(permutation(0), permutation(1));
}

}  // namespace
}  // namespace skipattn::data
