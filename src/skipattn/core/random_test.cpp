#include "skipattn/core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

namespace skipattn {
namespace {

TEST(Random, SplitMixMatchesThePublishedSequence) {
  Random random(1234567);  // the reference values that go with this seed in the original publication's test program
  EXPECT_EQ(random.next(), 6457827717110365317ULL);
  EXPECT_EQ(random.next(), 3203168211198807973ULL);
}

TEST(Random, DerivedSeedsDifferByNameAndBySeed) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 10; ++seed)
    for (const char* name : {"", "a", "b", "ab", "ba"}) seeds.insert(derive_seed(seed, name));
  EXPECT_EQ(seeds.size(), 50u);
  EXPECT_EQ(derive_seed(7, "order"), derive_seed(7, "order"));
}

TEST(Random, BelowStaysInRangeAndReachesEveryValue) {
  Random random(1);
  std::vector<int> seen(7);
  for (int i = 0; i < 7000; ++i) ++seen.at(random.below(7));
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
}

TEST(Random, NormalHasMeanZeroAndDeviationOne) {
  Random random(3);
  double sum = 0, squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.015);
  EXPECT_NEAR(squares / n, 1.0, 0.02);
}

TEST(Random, ShuffleIsAPermutationThatDependsOnTheSeedAlone) {
  std::vector<int> a(100), b(100);
  std::iota(a.begin(), a.end(), 0);
  std::iota(b.begin(), b.end(), 0);
  const std::vector<int> sorted = a;
  Random(5).shuffle(a);
  Random(5).shuffle(b);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, sorted);
  std::sort(a.begin(), a.end());
  EXPECT_EQ(a, sorted);
}

}  // namespace
}  // namespace skipattn
