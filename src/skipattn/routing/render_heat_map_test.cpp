#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skipattn/core/text.h"
#include "skipattn/routing/render.h"

namespace skipattn::routing {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Without ANSI escape sequences.
std::string uncolored(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      i = text.find('m', i);
    else
      plain += text[i];
  }
  return plain;
}

std::string map_of(const std::string& routing, const Shape& shape, bool color = false) {
  return render_heat_map(parse_routing(routing, shape), color);
}

TEST(HeatMap, ShowsHowFarEveryHeadReaches) {
  EXPECT_EQ(map_of("sla(distance=2, heads=1, values=own)", {.layers = 3, .kv_heads = 2}),
            "layer  keys   values   live K     V\n"
            "        0 1    0 1\n"
            "    0   . .    . .        2     2\n"
            "    1   . .    . .        2     2\n"
            "    2   . 2    . .        1     2\n"
            ". own layer   a number: so many layers back\n");
}

TEST(HeatMap, MarksOtherHeadsJointSourcesDroppedHeadsAndWindows) {
  const std::string map = map_of(R"({"windows": [0, 8], "routes": [
      {"layer": 1, "head": 0, "key": {"layer": 0, "head": 1}, "value": {"head": 2}},
      {"layer": 1, "head": 1, "key": ["own", 0], "value": ["own", 0]},
      {"layer": 1, "head": 2, "key": "none", "value": "none"}]})",
                                 {.layers = 2, .kv_heads = 3});
  EXPECT_THAT(map, HasSubstr("    1   1' +2  x    0' +2  x        1     2   window 8\n"));
  EXPECT_THAT(map, HasSubstr(". own layer   3' another head of that layer   +2 two sources jointly   "
                             "x no attention\n"));
}

TEST(HeatMap, AppliesTheChain) {
  const Shape shape = {.layers = 5, .kv_heads = 1};
  EXPECT_THAT(map_of("sla(distance=2, heads=1)", shape), Not(HasSubstr("    4   4 ")));
  EXPECT_THAT(map_of("sla(distance=2, heads=1, chain=resolved)", shape), HasSubstr("    4   4 "));
}

TEST(HeatMap, ColorsCarryTheSameCharacters) {
  const Shape shape = {.layers = 12, .kv_heads = 12};
  const std::string colored = map_of("sla", shape, true);
  EXPECT_THAT(colored, HasSubstr("\x1b[48;5;226m"));
  const std::string plain = map_of("sla", shape);
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(uncolored(colored), HasSubstr(plain.substr(0, plain.size() - 1)));
  EXPECT_THAT(uncolored(colored), HasSubstr("   near " + std::string(8, ' ') + " far\n"));
}

TEST(HeatMap, WidePanelsStandBelowEachOther) {
  for (const std::string& line : split(map_of("sla", {.layers = 48, .kv_heads = 25}), '\n'))
    EXPECT_LE(line.size(), 110u);
  EXPECT_THAT(map_of("sla", {.layers = 48, .kv_heads = 25}), HasSubstr("\n\nlayer  values"));
}

}  // namespace
}  // namespace skipattn::routing
