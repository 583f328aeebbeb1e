#include "skipattn/routing/plan.h"

#include <gtest/gtest.h>

#include "skipattn/core/errors.h"

namespace skipattn::routing {
namespace {

TEST(Plan, SkipHeadsOfSlaAreDeadInTheirOwnLayer) {
  const Plan plan = make_plan(parse_routing("sla(distance=2, heads=2)", {.layers = 3, .kv_heads = 3}));
  EXPECT_EQ(plan.layers[0].live_keys, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(plan.layers[2].live_keys, std::vector<int>{0});
  EXPECT_EQ(plan.layers[2].live_values, std::vector<int>{0});
  EXPECT_EQ(plan.layers[2].heads[0], std::vector<SlotPair>({{2, 0, 2, 0}}));
  EXPECT_EQ(plan.layers[2].heads[2], std::vector<SlotPair>({{0, 2, 0, 2}}));
  EXPECT_EQ(plan.layers[2].groups, (std::vector<Group>{{0, 1, {{2, 2}}}, {1, 2, {{0, 0}}}}));
  EXPECT_EQ(plan.layers[1].groups, (std::vector<Group>{{0, 3, {{1, 1}}}}));
  EXPECT_EQ(plan.live_key_heads(), 7);
  EXPECT_EQ(plan.cache_slots(), 14);
}

TEST(Plan, ABorrowedSkipHeadStaysLiveUnlessTheChainIsResolved) {
  const Shape shape = {.layers = 5, .kv_heads = 2};
  const Plan own = make_plan(parse_routing("sla(distance=2, heads=1)", shape));
  EXPECT_EQ(own.layers[2].live_keys, (std::vector<int>{0, 1}));
  EXPECT_EQ(own.layers[4].heads[1], std::vector<SlotPair>({{2, 1, 2, 1}}));
  EXPECT_EQ(own.layers[0].last_key_reader, 2);
  const Plan resolved = make_plan(parse_routing("sla(distance=2, heads=1, chain=resolved)", shape));
  EXPECT_EQ(resolved.layers[2].live_keys, std::vector<int>{0});
  EXPECT_EQ(resolved.layers[4].heads[1], std::vector<SlotPair>({{0, 1, 0, 1}}));
  EXPECT_EQ(resolved.layers[0].last_key_reader, 4);
}

TEST(Plan, KeysAndValuesLiveAndDieSeparately) {
  const Plan plan = make_plan(parse_routing("skipv1(heads=1)", {.layers = 3, .kv_heads = 2}));
  EXPECT_EQ(plan.layers[0].last_key_reader, 0);
  EXPECT_EQ(plan.layers[0].last_value_reader, 2);
  EXPECT_EQ(plan.layers[2].live_keys, (std::vector<int>{0, 1}));
  EXPECT_EQ(plan.layers[2].live_values, std::vector<int>{0});
  EXPECT_EQ(plan.layers[2].heads[1], std::vector<SlotPair>({{2, 1, 0, 1}}));
  EXPECT_EQ(plan.layers[2].first_key_slot, 4);
  EXPECT_EQ(plan.layers[2].first_value_slot, 3);
}

TEST(Plan, LayersThatNobodyReadsHaveNoReaderAndNoHeads) {
  const Plan plan = make_plan(parse_routing("cla(group=2)", {.layers = 4, .kv_heads = 2}));
  EXPECT_TRUE(plan.layers[1].live_keys.empty());
  EXPECT_EQ(plan.layers[1].last_key_reader, -1);
  EXPECT_EQ(plan.layers[1].last_value_reader, -1);
  EXPECT_EQ(plan.layers[2].last_value_reader, 3);
}

TEST(Plan, ReachIsTheFarthestLookOfAnyReader) {
  const Plan plan = make_plan(parse_routing(
      R"({"windows": [4, 16, 9, 0, 5], "routes": [{"layer": 2, "key": 0}, {"layer": 3, "value": 1},
                                                  {"layer": 4, "key": 0, "value": 1}]})",
      {.layers = 5, .kv_heads = 1}));
  EXPECT_EQ(plan.layers[0].window, 4);
  EXPECT_EQ(plan.layers[0].key_reach, 9);
  EXPECT_EQ(plan.layers[0].value_reach, 4);
  EXPECT_EQ(plan.layers[1].key_reach, 16);
  EXPECT_EQ(plan.layers[1].value_reach, 0);
}

TEST(Plan, JointAndDroppedHeadsMakeGroupsOfTheirOwn) {
  const Plan plan = make_plan(parse_routing(R"({"routes": [
      {"layer": 2, "head": [0, 1], "key": ["own", 0], "value": ["own", 1]},
      {"layer": 2, "head": 3, "key": "none", "value": "none"}]})",
                                            {.layers = 3, .kv_heads = 4}));
  EXPECT_EQ(plan.layers[2].groups, (std::vector<Group>{{0, 2, {{2, 2}, {0, 1}}}, {2, 1, {{2, 2}}}, {3, 1, {}}}));
  EXPECT_EQ(plan.layers[2].live_keys, (std::vector<int>{0, 1, 2}));
  EXPECT_TRUE(plan.layers[2].heads[3].empty());
}

TEST(Plan, RefusesAnUnsoundTable) {
  Routing routing = baseline_routing({.layers = 2, .kv_heads = 1});
  routing.routes[0][0].keys = {{1, 0}};
  EXPECT_THROW(make_plan(routing), InputError);
}

}  // namespace
}  // namespace skipattn::routing
