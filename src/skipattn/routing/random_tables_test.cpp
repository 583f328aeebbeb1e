// Several hundred random tables: their text reads back, and their plans keep the promises of
// plan.h.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "skipattn/core/random.h"
#include "skipattn/routing/chain.h"
#include "skipattn/routing/plan.h"

namespace skipattn::routing {
namespace {

Source random_source(Random& random, const Shape& shape, int reader, int head) {
  const int layer = static_cast<int>(random.below(static_cast<uint64_t>(reader) + 1));
  const bool same_head = random.below(3) != 0;
  const uint64_t heads = static_cast<uint64_t>(shape.kv_heads);
  return {layer, same_head ? head : static_cast<int>(random.below(heads))};
}

Route random_route(Random& random, const Shape& shape, int reader, int head) {
  const uint64_t kind = random.below(10);
  if (kind == 0) return {};
  if (kind < 4) return {.keys = {{reader, head}}, .values = {{reader, head}}};
  const size_t sources = kind < 8 ? 1 : 1 + random.below(4);
  Route route;
  std::set<std::pair<Source, Source>> pairs;
  for (size_t i = 0; i < sources; ++i) {
    const Source key = random_source(random, shape, reader, head);
    const Source value = random_source(random, shape, reader, head);
    if (!pairs.emplace(key, value).second) continue;
    route.keys.push_back(key);
    route.values.push_back(value);
  }
  return route;
}

/// A sound table; chain = resolved only where it can be resolved.
Routing random_routing(uint64_t seed) {
  Random random(derive_seed(seed, "table"));
  const Shape shape = {1 + static_cast<int>(random.below(9)), 1 + static_cast<int>(random.below(7))};
  Routing routing = baseline_routing(shape);
  for (int layer = 0; layer < shape.layers; ++layer) {
    if (random.below(4) == 0) routing.windows[layer] = static_cast<int>(random.below(100));
    for (int head = 0; head < shape.kv_heads; ++head)
      routing.routes[layer][head] = random_route(random, shape, layer, head);
  }
  routing.chain = Chain::kResolved;
  if (random.below(2) == 0 || !find_faults(routing).empty()) routing.chain = Chain::kOwn;
  return routing;
}

/// Every live head has a reader, every pair points at a live head that is the route's source,
/// groups cover the heads.
void check_plan(const Routing& routing) {
  const Plan plan = make_plan(routing);
  const Routing resolved = resolve_chain(routing);
  std::set<Source> keys_read;
  std::set<Source> values_read;
  for (int layer = 0; layer < plan.shape.layers; ++layer) {
    const LayerPlan& item = plan.layers[layer];
    ASSERT_EQ(item.heads.size(), static_cast<size_t>(plan.shape.kv_heads));
    for (int head = 0; head < plan.shape.kv_heads; ++head) {
      const Route& route = resolved.routes[layer][head];
      ASSERT_EQ(item.heads[head].size(), route.keys.size());
      for (size_t i = 0; i < route.keys.size(); ++i) {
        const SlotPair& pair = item.heads[head][i];
        const Source key{pair.key_layer, plan.layers[pair.key_layer].live_keys.at(pair.key_slot)};
        const Source value{pair.value_layer, plan.layers[pair.value_layer].live_values.at(pair.value_slot)};
        EXPECT_EQ(key, route.keys[i]);
        EXPECT_EQ(value, route.values[i]);
        EXPECT_LE(layer, plan.layers[key.layer].last_key_reader);
        EXPECT_LE(layer, plan.layers[value.layer].last_value_reader);
        keys_read.insert(key);
        values_read.insert(value);
      }
    }
    int next_head = 0;
    for (const Group& group : item.groups) {
      EXPECT_EQ(group.first_head, next_head);
      EXPECT_GE(group.head_count, 1);
      next_head += group.head_count;
    }
    EXPECT_EQ(next_head, plan.shape.kv_heads);
  }
  EXPECT_EQ(keys_read.size(), static_cast<size_t>(plan.live_key_heads()));
  EXPECT_EQ(values_read.size(), static_cast<size_t>(plan.live_value_heads()));
  for (const LayerPlan& item : plan.layers) {
    EXPECT_TRUE(std::is_sorted(item.live_keys.begin(), item.live_keys.end()));
    EXPECT_EQ(item.live_keys.empty(), item.last_key_reader == -1);
    EXPECT_EQ(item.live_values.empty(), item.last_value_reader == -1);
  }
}

TEST(RandomTables, RoundTripAndKeepThePromisesOfThePlan) {
  int resolved = 0;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const Routing routing = random_routing(seed);
    ASSERT_TRUE(find_faults(routing).empty()) << seed;
    const std::string text = explicit_text(routing);
    SCOPED_TRACE(text);
    const Routing again = parse_routing(text, routing.shape);
    ASSERT_EQ(again, routing);
    EXPECT_EQ(again.text, text);
    check_plan(routing);
    resolved += routing.chain == Chain::kResolved;
    if (HasFailure()) return;
  }
  EXPECT_GT(resolved, 30);  // enough of them are worth their name
}

}  // namespace
}  // namespace skipattn::routing
