#include "skipattn/routing/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/routing/chain.h"

namespace skipattn::routing {

namespace {

/// Which heads are read, and by whom last, of one side (keys or values).
struct Side {
  std::vector<std::vector<bool>> live;  // [L][Hkv]
  std::vector<int> last_reader;         // [L], -1: nobody
  std::vector<int> reach;               // [L], -1: nobody yet, 0: all tokens

  explicit Side(const Shape& shape)
      : live(shape.layers, std::vector<bool>(shape.kv_heads)), last_reader(shape.layers, -1), reach(shape.layers, -1) {}

  void read(const Source& source, int reader, int window) {
    live[source.layer][source.head] = true;
    last_reader[source.layer] = std::max(last_reader[source.layer], reader);
    int& far = reach[source.layer];
    far = window == 0 || far == 0 ? 0 : std::max(far, window);
  }

  std::vector<int> live_heads(int layer) const {
    std::vector<int> heads;
    for (size_t head = 0; head < live[layer].size(); ++head)
      if (live[layer][head]) heads.push_back(static_cast<int>(head));
    return heads;
  }
};

/// The position of a head that is live among its layer's live heads.
int slot_of(const std::vector<int>& live_heads, int head) {
  return static_cast<int>(std::lower_bound(live_heads.begin(), live_heads.end(), head) - live_heads.begin());
}

std::vector<SlotPair> slot_pairs(const Route& route, const std::vector<LayerPlan>& layers) {
  std::vector<SlotPair> pairs;
  for (size_t i = 0; i < route.keys.size(); ++i) {
    const Source& key = route.keys[i];
    const Source& value = route.values[i];
    pairs.push_back({key.layer, slot_of(layers[key.layer].live_keys, key.head), value.layer,
                     slot_of(layers[value.layer].live_values, value.head)});
  }
  return pairs;
}

std::vector<Group> group_heads(const std::vector<std::vector<SlotPair>>& heads) {
  std::vector<Group> groups;
  for (size_t head = 0; head < heads.size(); ++head) {
    std::vector<std::pair<int, int>> sources;
    for (const SlotPair& pair : heads[head]) sources.emplace_back(pair.key_layer, pair.value_layer);
    if (!groups.empty() && groups.back().sources == sources)
      ++groups.back().head_count;
    else
      groups.push_back({static_cast<int>(head), 1, std::move(sources)});
  }
  return groups;
}

}  // namespace

int Plan::live_key_heads() const {
  size_t count = 0;
  for (const LayerPlan& layer : layers) count += layer.live_keys.size();
  return static_cast<int>(count);
}

int Plan::live_value_heads() const {
  size_t count = 0;
  for (const LayerPlan& layer : layers) count += layer.live_values.size();
  return static_cast<int>(count);
}

Plan make_plan(const Routing& routing) {
  FaultList faults;
  for (const std::string& fault : find_faults(routing)) faults.add_text(fault);
  faults.throw_if_any(fmt::format("[plan] {}: ", routing.text));

  const Routing resolved = resolve_chain(routing);
  const Shape& shape = resolved.shape;
  Side keys(shape);
  Side values(shape);
  for (int reader = 0; reader < shape.layers; ++reader) {
    for (const Route& route : resolved.routes[reader]) {
      for (const Source& key : route.keys) keys.read(key, reader, resolved.windows[reader]);
      for (const Source& value : route.values) values.read(value, reader, resolved.windows[reader]);
    }
  }

  Plan plan;
  plan.shape = shape;
  plan.layers.resize(shape.layers);
  for (int layer = 0; layer < shape.layers; ++layer) {
    LayerPlan& item = plan.layers[layer];
    item.first_key_slot = plan.live_key_heads();
    item.first_value_slot = plan.live_value_heads();
    item.live_keys = keys.live_heads(layer);
    item.live_values = values.live_heads(layer);
    item.window = resolved.windows[layer];
    item.last_key_reader = keys.last_reader[layer];
    item.last_value_reader = values.last_reader[layer];
    item.key_reach = std::max(keys.reach[layer], 0);
    item.value_reach = std::max(values.reach[layer], 0);
  }
  for (int layer = 0; layer < shape.layers; ++layer) {
    for (const Route& route : resolved.routes[layer])
      plan.layers[layer].heads.push_back(slot_pairs(route, plan.layers));
    plan.layers[layer].groups = group_heads(plan.layers[layer].heads);
  }
  return plan;
}

}  // namespace skipattn::routing
