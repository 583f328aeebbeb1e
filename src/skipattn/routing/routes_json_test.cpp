#include "skipattn/routing/routes_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace skipattn::routing {
namespace {

using nlohmann::json;

TEST(RoutesJson, NamesWhatEveryHeadReads) {
  const Routing routing = parse_routing(R"({"routes": [
      {"layer": 1, "head": 0, "key": 0, "value": {"layer": 0, "head": 1}},
      {"layer": 2, "head": 0, "key": ["own", 0], "value": [1, {"layer": 1, "head": 1}]},
      {"layer": 2, "head": 1, "key": "none", "value": "none"}]})",
                                        {.layers = 3, .kv_heads = 2});
  EXPECT_EQ(routes_json(routing), json::parse(R"([
      [{"key": 0, "value": 0}, {"key": 0, "value": 0}],
      [{"key": 0, "value": "0.h1"}, {"key": 1, "value": 1}],
      [{"key": [2, 0], "value": [1, "1.h1"]}, {"key": "none", "value": "none"}]])"));
}

TEST(RoutesJson, AppliesTheChain) {
  const Shape shape = {.layers = 5, .kv_heads = 1};
  const auto last = [&](const std::string& text) {
    return routes_json(parse_routing(text, shape)).back().at(0).at("key").get<int>();
  };
  EXPECT_EQ(last("sla(distance=2, heads=1)"), 2);
  EXPECT_EQ(last("sla(distance=2, heads=1, chain=resolved)"), 0);
}

}  // namespace
}  // namespace skipattn::routing
