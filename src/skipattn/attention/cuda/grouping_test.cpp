#include "skipattn/attention/cuda/grouping.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "skipattn/attention/cuda/stand_in_test.h"
#include "skipattn/attention/cuda/views.h"

namespace skipattn::attention::cuda::test {
namespace {

/// Tables of `heads` KV heads by function(head) -> pair.
template <typename Function>
HeadPairs table(int64_t heads, const Function& pair_of) {
  HeadPairs pairs(heads);
  for (int64_t h = 0; h < heads; ++h) pairs[h] = {pair_of(h)};
  return pairs;
}

using Reads = std::multiset<std::array<int64_t, 5>>;

Reads reads_of(const HeadPairs& pairs) {
  Reads reads;
  for (size_t h = 0; h < pairs.size(); ++h)
    for (const Pair& p : pairs[h])
      reads.insert({static_cast<int64_t>(h), p.key_tensor, p.key_head, p.value_tensor, p.value_head});
  return reads;
}

Reads reads_of(const std::vector<HeadGroup>& groups) {
  Reads reads;
  for (const HeadGroup& g : groups)
    for (int64_t i = 0; i < g.heads.count; ++i)
      reads.insert({g.heads.at(i), g.key_tensor, g.key_heads.at(i), g.value_tensor, g.value_heads.at(i)});
  return reads;
}

TEST(Grouping, ARegularLayerIsOneCall) {
  EXPECT_EQ(group_heads(table(12, [](int64_t h) { return Pair{0, h, 1, h}; })).size(), 1);
  // Keys from every other head of a wider layer, all values from one head.
  const auto groups = group_heads(table(5, [](int64_t h) { return Pair{0, 2 * h + 1, 1, 3}; }));
  ASSERT_EQ(groups.size(), 1);
  EXPECT_EQ(groups[0].heads, (HeadRange{0, 1, 5}));
  EXPECT_EQ(groups[0].key_heads, (HeadRange{1, 2, 5}));
  EXPECT_EQ(groups[0].value_heads, (HeadRange{3, 0, 5}));
  EXPECT_FALSE(groups[0].reads_one_head());
  EXPECT_TRUE(group_heads(table(3, [](int64_t) { return Pair{0, 2, 1, 2}; }))[0].reads_one_head());
}

TEST(Grouping, SkipHeadsAreASecondCallWhereverTheyAre) {
  const auto sla = [](auto is_skip) {
    return group_heads(table(12, [&](int64_t h) { return is_skip(h) ? Pair{0, h, 1, h} : Pair{2, h, 3, h}; }));
  };
  EXPECT_EQ(sla([](int64_t h) { return h >= 3; }).size(), 2);
  EXPECT_EQ(sla([](int64_t h) { return h % 2 == 0; }).size(), 2);  // query heads at a step of 2
  EXPECT_EQ(sla([](int64_t h) { return h % 4 != 3; }).size(), 3);
}

TEST(Grouping, NeighboursStayTogether) {
  const auto groups = group_heads(table(5, [](int64_t h) {
    return h == 1 || h == 2 ? Pair{0, h, 1, h} : Pair{2, h, 3, h};
  }));
  ASSERT_EQ(groups.size(), 3);
  EXPECT_EQ(groups[1].heads, (HeadRange{3, 1, 2}));  // not 0 and 3
}

TEST(Grouping, HeadsOfOneLayerThatFallRunAlone) {
  EXPECT_EQ(group_heads(table(4, [](int64_t h) { return Pair{0, 3 - h, 1, h}; })).size(), 4);  // no negative strides
}

TEST(Grouping, JointSourcesAreACallForEachPair) {
  HeadPairs pairs(6);
  for (int64_t h = 0; h < 6; ++h) {
    pairs[h] = {{0, h, 1, h}, {2, h, 3, h}, {0, h, 1, h}};
    if (h % 2 == 1) std::swap(pairs[h][0], pairs[h][1]);  // the order of the pairs does not matter
  }
  pairs.emplace_back();  // reads nothing
  EXPECT_EQ(group_heads(pairs).size(), 3);
  EXPECT_EQ(reads_of(group_heads(pairs)), reads_of(pairs));
  EXPECT_TRUE(group_heads({{}, {}}).empty());
}

TEST(Grouping, EveryPairOfEveryHeadIsInOneGroup) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const HeadPairs pairs = random_pairs(1 + static_cast<int64_t>(seed % 9), 3, seed);
    const auto groups = group_heads(pairs);
    EXPECT_EQ(reads_of(groups), reads_of(pairs)) << seed;
    for (const HeadGroup& group : groups) {
      EXPECT_GE(group.heads.step, 1);
      EXPECT_GE(group.key_heads.step, 0);
      EXPECT_GE(group.value_heads.step, 0);
    }
  }
}

TEST(Views, AreViewsOfTheRightHeads) {
  const at::Tensor source = at::randn({2, 8, 5, 3});
  const at::Tensor picked = select_heads(source, {1, 3, 3});
  EXPECT_TRUE(at::equal(picked, source.index_select(1, at::tensor({1, 4, 7}))));
  EXPECT_TRUE(picked.is_alias_of(source));
  const at::Tensor repeated = select_heads(source, {6, 0, 4});
  EXPECT_TRUE(at::equal(repeated, source.index_select(1, at::tensor({6, 6, 6, 6}))));
  EXPECT_EQ(repeated.stride(1), 0);
  EXPECT_TRUE(at::equal(select_heads(source, {7, 1, 1}), source.narrow(1, 7, 1)));

  const at::Tensor gathered = gather_queries(source, {1, 2, 2}, 2);  // KV heads 1 and 3, two query heads each
  EXPECT_TRUE(at::equal(gathered, source.index_select(1, at::tensor({2, 3, 6, 7}))));
  EXPECT_TRUE(gather_queries(source, {1, 2, 3}, 1).is_alias_of(source));
  EXPECT_TRUE(gather_queries(source, {1, 1, 3}, 2).is_alias_of(source));
  EXPECT_TRUE(at::equal(select_groups(source, {0, 3, 2}, 2).select(1, 1), source.narrow(1, 6, 2)));
}

}  // namespace
}  // namespace skipattn::attention::cuda::test
