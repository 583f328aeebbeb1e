#include "skipattn/routing/explicit_table.h"

#include <gtest/gtest.h>

#include "skipattn/routing/expect_faults.h"

namespace skipattn::routing {
namespace {

constexpr Shape kSmall = {.layers = 4, .kv_heads = 4};

TEST(ExplicitTable, ReadsEveryKindOfSource) {
  const Routing routing = parse_routing(R"({
    "layers": 4, "kv_heads": 4, "windows": [64, 0, 0, 8], "chain": "own", "routes": [
      {"layer": "2-3", "head": [0, 1], "key": 0, "value": "own"},
      {"layer": 3, "head": 2, "key": ["own", 1], "value": [{"layer": 1, "head": 3}, {"head": 0}]},
      {"layer": 3, "head": 3, "key": "none", "value": "none"}]})",
                                        kSmall);
  EXPECT_EQ(routing.routes[2][1], (Route{.keys = {{0, 1}}, .values = {{2, 1}}}));
  EXPECT_EQ(routing.routes[3][0], (Route{.keys = {{0, 0}}, .values = {{3, 0}}}));
  EXPECT_EQ(routing.routes[3][2], (Route{.keys = {{3, 2}, {1, 2}}, .values = {{1, 3}, {3, 0}}}));
  EXPECT_EQ(routing.routes[3][3], (Route{}));
  EXPECT_EQ(routing.routes[2][2], (Route{.keys = {{2, 2}}, .values = {{2, 2}}}));
  EXPECT_EQ(routing.windows, (std::vector<int>{64, 0, 0, 8}));
}

TEST(ExplicitTable, WholeLayersAndAllOfThem) {
  const Routing routing = parse_routing(R"({"windows": 5, "routes": [{"layer": "all", "key": 0}]})", kSmall);
  for (int layer = 0; layer < 4; ++layer)
    for (int head = 0; head < 4; ++head)
      EXPECT_EQ(routing.routes[layer][head], (Route{.keys = {{0, head}}, .values = {{layer, head}}}));
  EXPECT_EQ(routing.windows, std::vector<int>(4, 5));
}

TEST(ExplicitTable, CanonicalTextIsCompactAndAFixedPoint) {
  const Routing routing = parse_routing(R"({"chain": "resolved", "windows": [9, 9, 9, 9], "routes": [
      {"layer": [2, 1], "head": "all", "key": 0},
      {"layer": 3, "head": "0-1", "key": [{"layer": 2, "head": 3}, 2], "value": [1, "own"]},
      {"layer": 0, "head": 0}]})",
                                        kSmall);
  const std::string expected = R"({"layers":4,"kv_heads":4,"chain":"resolved","windows":9,"routes":[)"
                               R"({"layer":[1,2],"key":0,"value":"own"},)"
                               R"({"layer":3,"head":[0,1],"key":[{"layer":2,"head":3},2],"value":[1,"own"]}]})";
  EXPECT_EQ(routing.text, expected);
  EXPECT_EQ(parse_routing(expected, kSmall), routing);
  EXPECT_EQ(parse_routing(expected, kSmall).text, expected);
}

TEST(ExplicitTable, ANamedRoutingMayBeAnObject) {
  EXPECT_EQ(parse_routing(R"({"name": "sla", "distance": 2, "heads": "1/2", "keys": "own"})", kSmall),
            parse_routing("sla(distance=2, heads=2, keys=own)", kSmall));
  EXPECT_EQ(parse_routing(R"({"name": "sla", "distance": 0.5, "which": [3, 0]})", kSmall).text,
            "sla(distance=2, heads=2, keys=skip, values=skip, which=[0,3])");
  expect_faults(R"({"name": "sla", "haeds": 3})", kSmall, {"unknown argument 'haeds'"});
  expect_faults(R"({"name": 3})", kSmall, {"name=3 must be the name of a routing"});
}

TEST(ExplicitTable, ReportsEveryFaultOfTheTextAtOnce) {
  expect_faults(
      R"({"kv_heads": 4.0, "window": 3, "windows": [1, 2], "chain": "no", "routes": [
      {"layer": "2-5", "key": 0},
      {"layer": 2, "head": 7, "heda": 1},
      {"layer": "3-2"},
      {"layer": 1, "head": []},
      {"head": 2},
      3,
      {"layer": 3, "head": 0, "key": ["own", "onw"], "value": [0, 1]},
      {"layer": 3, "head": 0, "key": ["own", 1], "value": 0},
      {"layer": 3, "head": 0, "key": [], "value": 0},
      {"layer": 3, "head": 0, "value": "none"},
      {"layer": 0, "head": 3},
      {"layer": 0, "head": [2, 3]}]})",
      kSmall,
      {"unknown key 'window' (did you mean 'windows'?)", "kv_heads is 4.0 but the model has 4 KV heads",
       "chain=\"no\" must be \"own\" or \"resolved\"", "windows has 2 entries, must be 4, one a layer",
       "routes[0]: layer 4 is out of range, must be 0..3", "routes[1]: unknown key 'heda' (did you mean 'head'?)",
       "routes[1]: head 7 is out of range, must be 0..3", "routes[2]: layer=\"3-2\" must be an index",
       "routes[3]: head=[] must be an index", "routes[4]: layer is missing", "routes[5]: 3 must be an object",
       "routes[6]: key=\"onw\" must be \"own\", a layer", "routes[7]: 2 key and 1 value sources do not pair",
       "routes[8]: key=[] is empty, write \"none\"",
       "routes[9]: only the value is \"none\", key and value must both be",
       "routes[11]: it defines a layer and head that is already defined"});
}

TEST(ExplicitTable, ReportsSourcesOutOfPlaceTogetherWithFaultsOfTheText) {
  expect_faults(
      R"({"routes": [{"layer": 9},
      {"layer": 3, "key": 4, "value": {"layer": 0, "head": 5}},
      {"layer": 1, "head": [0, 1, 3], "key": 2},
      {"layer": 0, "head": 0, "key": -1}]})",
      kSmall,
      {"routes[0]: layer 9 is out of range, must be 0..3", "layer 0 head 0: key layer -1 is out of range, must be 0..0",
       "layer 1 heads 0-1, 3: key layer 2 is later than its reader, must be 0..1",
       "layer 3 heads 0-3: key layer 4 is out of range, must be 0..3",
       "layer 3 heads 0-3: value head 5 is out of range, must be 0..3"});
}

TEST(ExplicitTable, ATableForAnotherModelIsNotBlamedForItsRoutes) {
  expect_faults(R"({"layers": 24, "kv_heads": 8, "routes": [{"layer": 20, "head": 6, "key": 9}]})", kSmall,
                {"layers is 24 but the model has 4 layers", "kv_heads is 8 but the model has 4 KV heads"});
  expect_faults(R"({"layers": 1000000000, "routes": []})", kSmall, {"layers is 1000000000 but"});
}

TEST(ExplicitTable, RefusesUnsoundJson) {
  expect_faults(R"({"routes": [})", kSmall, {"not sound JSON at character 13"});
  expect_faults(R"({"routes": 1e999})", kSmall, {"a number is too large"});
  expect_faults(R"({"routes": [], "routes": []})", kSmall, {"the key \"routes\" is given twice in one object"});
  expect_faults(R"({"routes": [{"layer": 1, "key": 0, "key": 1}]})", kSmall,
                {"the key \"key\" is given twice in one object"});
  expect_faults(R"({"layers": 4})", kSmall, {"routes must be a list of objects"});
  const std::string deep(100000, '[');
  expect_faults(R"({"routes": )" + deep, kSmall, {"nested too deeply, 16 levels are the most"});
}

}  // namespace
}  // namespace skipattn::routing
