#include "skipattn/routing/named_routings.h"

#include <gtest/gtest.h>

#include "skipattn/routing/expect_faults.h"

namespace skipattn::routing {
namespace {

constexpr Shape kGpt2 = {.layers = 12, .kv_heads = 12};

std::string canonical(const std::string& text, const Shape& shape) {
  return parse_routing(text, shape).text;
}

/// The layer whose keys (values) each head of `layer` reads.
std::vector<int> key_layers(const Routing& routing, int layer) {
  std::vector<int> layers;
  for (const Route& route : routing.routes[layer]) layers.push_back(route.keys.at(0).layer);
  return layers;
}
std::vector<int> value_layers(const Routing& routing, int layer) {
  std::vector<int> layers;
  for (const Route& route : routing.routes[layer]) layers.push_back(route.values.at(0).layer);
  return layers;
}

TEST(Sla, SkipHeadsReadTheLayerADistanceBelow) {
  const Routing routing = parse_routing("sla(distance=2, heads=3)", {.layers = 4, .kv_heads = 4});
  EXPECT_EQ(key_layers(routing, 1), (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(key_layers(routing, 2), (std::vector<int>{2, 0, 0, 0}));
  EXPECT_EQ(value_layers(routing, 2), (std::vector<int>{2, 0, 0, 0}));
  EXPECT_EQ(key_layers(routing, 3), (std::vector<int>{3, 1, 1, 1}));
  EXPECT_EQ(routing.routes[3][2].keys[0].head, 2);
}

TEST(Sla, BareIsThreeQuartersOfLayersAndHeads) {
  EXPECT_EQ(canonical("sla", kGpt2), "sla(distance=9, heads=9, keys=skip, values=skip, which=last)");
  EXPECT_EQ(canonical("sla", {.layers = 24, .kv_heads = 16}),
            "sla(distance=18, heads=12, keys=skip, values=skip, which=last)");
  EXPECT_EQ(parse_routing("sla(distance=0.75, heads=3/4)", kGpt2), parse_routing("sla()", kGpt2));
}

TEST(Sla, OneSideCanStayOrdinary) {
  const Shape shape = {.layers = 2, .kv_heads = 2};
  const Routing values_only = parse_routing("sla(distance=1, heads=1, keys=own)", shape);
  EXPECT_EQ(key_layers(values_only, 1), (std::vector<int>{1, 1}));
  EXPECT_EQ(value_layers(values_only, 1), (std::vector<int>{1, 0}));
  const Routing keys_only = parse_routing("sla(distance=1, heads=1, values=own)", shape);
  EXPECT_EQ(key_layers(keys_only, 1), (std::vector<int>{1, 0}));
  EXPECT_EQ(value_layers(keys_only, 1), (std::vector<int>{1, 1}));
  EXPECT_TRUE(parse_routing("sla(keys=own, values=own)", kGpt2).is_baseline());
}

TEST(Sla, WhichChoosesTheHeads) {
  const Shape shape = {.layers = 2, .kv_heads = 6};
  const auto borrowers = [&](const std::string& which) {
    const Routing routing = parse_routing("sla(distance=1, which=" + which + ")", shape);
    std::string heads;
    for (int head = 0; head < shape.kv_heads; ++head)
      if (routing.routes[1][head].keys[0].layer == 0) heads += std::to_string(head);
    return heads;
  };
  EXPECT_EQ(borrowers("last, heads=2"), "45");
  EXPECT_EQ(borrowers("first, heads=2"), "01");
  EXPECT_EQ(borrowers("every, heads=3"), "024");
  EXPECT_EQ(borrowers("every, heads=4"), "0134");
  EXPECT_EQ(borrowers("[5, 0, 3]"), "035");
  EXPECT_EQ(borrowers("[1,2,4], heads=1/2"), "124");
  EXPECT_EQ(canonical("sla(which=[7,0,3])", kGpt2), "sla(distance=9, heads=3, keys=skip, values=skip, which=[0,3,7])");
}

TEST(SkipV1, TakesValuesOfLayerZero) {
  const Routing routing = parse_routing("skipv1", {.layers = 3, .kv_heads = 4});
  EXPECT_EQ(routing.text, "skipv1(heads=2, which=last)");
  EXPECT_EQ(value_layers(routing, 0), (std::vector<int>{0, 0, 0, 0}));
  EXPECT_EQ(value_layers(routing, 1), (std::vector<int>{1, 1, 0, 0}));
  EXPECT_EQ(value_layers(routing, 2), (std::vector<int>{2, 2, 0, 0}));
  EXPECT_EQ(key_layers(routing, 2), (std::vector<int>{2, 2, 2, 2}));
}

TEST(Cla, NeighbouringLayersShare) {
  const Routing routing = parse_routing("cla(group=3)", {.layers = 5, .kv_heads = 1});
  EXPECT_EQ(key_layers(routing, 2), std::vector<int>{0});
  EXPECT_EQ(key_layers(routing, 3), std::vector<int>{3});
  EXPECT_EQ(value_layers(routing, 4), std::vector<int>{3});
  EXPECT_EQ(canonical("cla", kGpt2), "cla(group=2)");
  EXPECT_TRUE(parse_routing("cla(group=1)", kGpt2).is_baseline());
}

TEST(Yoco, UpperLayersReadTheLastLowerOne) {
  const Routing routing = parse_routing("yoco(window=16)", {.layers = 4, .kv_heads = 1});
  EXPECT_EQ(routing.text, "yoco(split=2, window=16)");
  EXPECT_EQ(key_layers(routing, 1), std::vector<int>{1});
  EXPECT_EQ(key_layers(routing, 2), std::vector<int>{1});
  EXPECT_EQ(value_layers(routing, 3), std::vector<int>{1});
  EXPECT_EQ(routing.windows, (std::vector<int>{16, 16, 0, 0}));
}

TEST(NamedRoutings, AWindowHoldsForAllLayers) {
  for (const char* name : {"baseline", "sla", "skipv1", "cla"}) {
    const Routing routing = parse_routing(std::string(name) + "(window=64)", kGpt2);
    EXPECT_EQ(routing.windows, std::vector<int>(12, 64)) << name;
    EXPECT_TRUE(routing.text.ends_with("window=64)")) << routing.text;
    EXPECT_FALSE(routing.is_baseline());
  }
  EXPECT_EQ(canonical("baseline(window=0)", kGpt2), "baseline");
}

TEST(NamedRoutings, CanonicalTextIsAFixedPoint) {
  for (const char* text : {"baseline", "baseline(window=7)", "sla", "sla(distance=1/2, heads=0.3, which=first)",
                           "sla(keys=own, which=every)", "sla(values=own, which=[11,2], window=3)",
                           "sla(chain=resolved, distance=2)", "sla(chain=own)", "skipv1", "skipv1(heads=12)",
                           "skipv1(which=[1], chain=resolved)", "cla", "cla(group=5, window=9)", "yoco(split=1/3)"}) {
    const Routing routing = parse_routing(text, kGpt2);
    const Routing again = parse_routing(routing.text, kGpt2);
    EXPECT_EQ(routing, again) << text;
    EXPECT_EQ(routing.text, again.text);
    const Routing from_table = parse_routing(explicit_text(routing), kGpt2);
    EXPECT_EQ(routing, from_table) << text;
  }
  EXPECT_EQ(canonical("skipv1(chain=resolved)", kGpt2), "skipv1(heads=6, which=last, chain=resolved)");
}

TEST(NamedRoutings, EveryFaultHasItsLine) {
  expect_faults("sla(distance=12)", kGpt2, {"distance must be 1..11 for a model of 12 layers"});
  expect_faults("sla(distance=x, heads=13, keys=none, which=lats, chain=both, window=-1)", kGpt2,
                {"distance=x must be a whole number or a fraction of at most 1 such as 3/4",
                 "heads must be 1..12 for a model of 12 KV heads",
                 "which=lats must be last, first, every or a list such as [0,3] (did you mean "
                 "'last'?)",
                 "keys=none must be skip or own", "window=-1 must be a whole number of tokens",
                 "chain=both must be own or resolved"});
  expect_faults("sla(heads=1, heads=2)", kGpt2, {"heads is given twice"});
  expect_faults("sla(heads=2, which=[0,3,7])", kGpt2, {"heads=2 does not agree with which=[0,3,7], which lists 3"});
  expect_faults("sla(which=[0,12,0])", kGpt2,
                {"which=[0,12,0] has '12', heads must be 0..11", "which=[0,12,0] has head 0 twice"});
  expect_faults("sla", {.layers = 4, .kv_heads = 1}, {"heads=3/4 is 0: heads must be 1 for a model of 1 KV head"});
  expect_faults("sla(heads=1)", {.layers = 1, .kv_heads = 1}, {"there is no distance that fits a model of 1 layer"});
  expect_faults("skipv1(heads=1)", {.layers = 1, .kv_heads = 1}, {"skipv1 needs a model of 2 layers or more"});
  expect_faults("cla(group=13)", kGpt2, {"group must be 1..12 for a model of 12 layers"});
  expect_faults("yoco(split=12)", kGpt2, {"split must be 1..11 for a model of 12 layers"});
}

TEST(NamedRoutings, UnknownNamesAreAnsweredWithTheNearest) {
  expect_faults("slaa", kGpt2, {"unknown routing 'slaa' (did you mean 'sla'?), known are baseline"});
  expect_faults("sla(haeds=3)", kGpt2, {"unknown argument 'haeds' (did you mean 'heads'?)"});
  expect_faults("cla(chain=own)", kGpt2, {"unknown argument 'chain', known are group, window"});
}

TEST(ParseRouting, RefusesAnEmptyTextAndAShapelessModel) {
  EXPECT_THROW(parse_routing("  ", kGpt2), InputError);
  expect_faults("sla", {.layers = 0, .kv_heads = -1}, {"layers=0 must be 1 or more", "kv_heads=-1 must be 1 or more"});
}

}  // namespace
}  // namespace skipattn::routing
