#include "skipattn/routing/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"

namespace skipattn::routing {
namespace {

using testing::ElementsAre;

constexpr Shape kFive = {.layers = 5, .kv_heads = 2};

Routing resolved(const std::string& text, const Shape& shape) {
  return resolve_chain(parse_routing(text, shape));
}

TEST(Chain, OwnReadsWhatTheSourceLayerProjected) {
  const Routing routing = resolved("sla(distance=2, heads=1)", kFive);
  EXPECT_EQ(routing.routes[4][1].keys, std::vector<Source>({{2, 1}}));
}

TEST(Chain, ResolvedFollowsToTheRoot) {
  const Routing routing = resolved("sla(distance=2, heads=1, chain=resolved)", kFive);
  EXPECT_EQ(routing.chain, Chain::kOwn);
  EXPECT_EQ(routing.routes[2][1].keys, std::vector<Source>({{0, 1}}));
  EXPECT_EQ(routing.routes[3][1].values, std::vector<Source>({{1, 1}}));
  EXPECT_EQ(routing.routes[4][1].keys, std::vector<Source>({{0, 1}}));
  EXPECT_EQ(routing.routes[4][1].values, std::vector<Source>({{0, 1}}));
  EXPECT_EQ(routing.routes[4][0].keys, std::vector<Source>({{4, 0}}));
}

TEST(Chain, FollowsKeysAndValuesSeparatelyAndAcrossHeads) {
  const Routing routing = resolved(R"({"chain": "resolved", "routes": [
      {"layer": 2, "head": 0, "key": {"layer": 0, "head": 1}, "value": "own"},
      {"layer": 4, "head": 0, "key": 2, "value": 2}]})",
                                   kFive);
  EXPECT_EQ(routing.routes[4][0].keys, std::vector<Source>({{0, 1}}));
  EXPECT_EQ(routing.routes[4][0].values, std::vector<Source>({{2, 0}}));
}

TEST(Chain, AJointReaderFollowsEachSourceAndKeepsItsOwn) {
  const Routing routing = resolved(R"({"chain": "resolved", "routes": [
      {"layer": 2, "key": 0, "value": 0},
      {"layer": 4, "key": ["own", 2, 3], "value": ["own", 2, 3]}]})",
                                   kFive);
  EXPECT_EQ(routing.routes[4][1].keys, std::vector<Source>({{4, 1}, {0, 1}, {3, 1}}));
}

TEST(Chain, AHeadWithoutAttentionIsARoot) {
  const Routing routing = resolved(R"({"chain": "resolved", "routes": [
      {"layer": 2, "key": "none", "value": "none"}, {"layer": 4, "key": 2, "value": 2}]})",
                                   kFive);
  EXPECT_EQ(routing.routes[4][0].keys, std::vector<Source>({{2, 0}}));
}

std::vector<std::string> chain_faults(const std::string& text) {
  Routing routing = parse_routing(text, kFive);
  routing.chain = Chain::kResolved;
  EXPECT_THROW(resolve_chain(routing), InputError);
  return find_chain_faults(routing);
}

TEST(Chain, ThroughAJointSourceIsAFault) {
  EXPECT_THAT(chain_faults(R"({"routes": [
      {"layer": 2, "head": 1, "key": ["own", 0], "value": ["own", 0]},
      {"layer": 3, "key": 2}, {"layer": 4, "head": 1, "key": 3}]})"),
              ElementsAre("layer 3 head 1: chain=resolved cannot follow layer 2 head 1, which reads "
                          "2 sources jointly",
                          "layer 4 head 1: chain=resolved cannot follow layer 2 head 1, which reads "
                          "2 sources jointly"));
}

TEST(Chain, HeadsOfALayerThatReadEachOtherAreAFault) {
  EXPECT_THAT(chain_faults(R"({"routes": [{"layer": 1, "head": 0, "key": {"head": 1}},
                                          {"layer": 1, "head": 1, "key": {"head": 0}}]})"),
              ElementsAre("layer 1 head 1: chain=resolved goes round in a circle from layer 1 head 0",
                          "layer 1 head 0: chain=resolved goes round in a circle from layer 1 head "
                          "1"));
}

TEST(Chain, PairsThatBecomeTheSameAreAFault) {
  EXPECT_THAT(chain_faults(R"({"routes": [{"layer": 2, "key": 0, "value": 0},
      {"layer": 3, "head": 0, "key": [2, 0], "value": [2, 0]}]})"),
              ElementsAre("layer 3 head 0: chain=resolved makes two of its sources the same"));
}

}  // namespace
}  // namespace skipattn::routing
