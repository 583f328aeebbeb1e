#include "skipattn/routing/routing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skipattn::routing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Shape kSmall = {.layers = 3, .kv_heads = 2};

TEST(Routing, BaselineReadsItselfAndIsSound) {
  const Routing routing = baseline_routing(kSmall);
  EXPECT_EQ(routing.routes[2][1], (Route{.keys = {{2, 1}}, .values = {{2, 1}}}));
  EXPECT_TRUE(routing.is_baseline());
  EXPECT_THAT(find_faults(routing), IsEmpty());
}

TEST(Routing, EqualityLooksAtTheTableAndNotAtTheText) {
  Routing routing = baseline_routing(kSmall);
  routing.text = "something else";
  EXPECT_EQ(routing, baseline_routing(kSmall));
  routing.windows[1] = 4;
  EXPECT_FALSE(routing == baseline_routing(kSmall));
  EXPECT_FALSE(routing.is_baseline());
}

TEST(FindFaults, NamesEachFaultWithItsPlace) {
  Routing routing = baseline_routing(kSmall);
  routing.windows[2] = -1;
  routing.routes[1][0].keys = {{2, 0}};
  routing.routes[1][1].keys = {{2, 0}};
  routing.routes[2][0].values = {{0, 2}};
  routing.routes[2][1] = {.keys = {{3, 0}, {0, 0}}, .values = {{2, 1}}};
  EXPECT_THAT(find_faults(routing),
              ElementsAre("the window of layer 2 is -1, must be 0 (all tokens) or more",
                          "layer 1 heads 0-1: key layer 2 is later than its reader, must be 0..1",
                          "layer 2 head 1: 2 key and 1 value sources do not pair, as many of each "
                          "are needed",
                          "layer 2 head 1: key layer 3 is out of range, must be 0..2",
                          "layer 2 head 0: value head 2 is out of range, must be 0..1"));
}

TEST(FindFaults, RefusesTheSamePairTwiceButNotASourceTwice) {
  Routing routing = baseline_routing(kSmall);
  routing.routes[2][0] = {.keys = {{1, 0}, {1, 0}}, .values = {{1, 0}, {0, 0}}};
  EXPECT_THAT(find_faults(routing), IsEmpty());
  routing.routes[2][0].values[1] = {1, 0};
  EXPECT_THAT(find_faults(routing), ElementsAre(HasSubstr("the same pair of key and value source is listed twice")));
}

TEST(FindFaults, SurvivesATableOfTheWrongForm) {
  Routing routing = baseline_routing(kSmall);
  routing.routes[1].pop_back();
  routing.windows.pop_back();
  EXPECT_THAT(find_faults(routing), ElementsAre("windows has 2 entries, must be 3, one a layer",
                                                "layer 1 has 1 routes, must be 2, one a KV head"));
  routing.routes.pop_back();
  EXPECT_THAT(find_faults(routing), testing::Contains("the table has 2 layers of routes, must be 3"));
  EXPECT_THAT(find_faults(Routing{}),
              ElementsAre("layers is 0, must be 1 or more", "kv_heads is 0, must be 1 or more"));
}

}  // namespace
}  // namespace skipattn::routing
