#include "skipattn/attention/cpu/contributions.h"

#include <gtest/gtest.h>

namespace skipattn::attention::cpu {
namespace {

void expect_side(const Contribution& side, int64_t tensor, int64_t head, int turn, int count) {
  EXPECT_EQ(side.tensor, tensor);
  EXPECT_EQ(side.head, head);
  EXPECT_EQ(side.turn, turn);
  EXPECT_EQ(side.count, count);
}

TEST(Contributions, OfAHeadReadOnceAreAlone) {
  const auto numbered = number_contributions({{{0, 3, 1, 2}}, {{0, 2, 1, 3}}});
  expect_side(numbered[0][0].key, 0, 3, 0, 1);
  expect_side(numbered[0][0].value, 1, 2, 0, 1);
  expect_side(numbered[1][0].key, 0, 2, 0, 1);
  expect_side(numbered[1][0].value, 1, 3, 0, 1);
}

TEST(Contributions, TakeTurnsByHeadThenPairThenSide) {
  // Head 5 of tensor 0: a key of head 0, a value of it, both sides of one pair of head 2.
  const auto numbered = number_contributions({{{0, 5, 1, 0}, {1, 0, 0, 5}}, {}, {{0, 5, 0, 5}}});
  expect_side(numbered[0][0].key, 0, 5, 0, 4);
  expect_side(numbered[0][0].value, 1, 0, 0, 2);
  expect_side(numbered[0][1].key, 1, 0, 1, 2);
  expect_side(numbered[0][1].value, 0, 5, 1, 4);
  EXPECT_TRUE(numbered[1].empty());
  expect_side(numbered[2][0].key, 0, 5, 2, 4);
  expect_side(numbered[2][0].value, 0, 5, 3, 4);
}

TEST(Contributions, OfNobodyAreNone) {
  EXPECT_TRUE(number_contributions({}).empty());
  EXPECT_EQ(number_contributions({{}, {}}).size(), 2);
}

}  // namespace
}  // namespace skipattn::attention::cpu
