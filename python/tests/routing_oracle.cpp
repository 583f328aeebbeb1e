// What the library says about routings, for the comparison with the Python package: reads a line of JSON
// {"text", "layers", "kv_heads"} at a time and prints one line, the plan or {"error"}.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "skipattn/core/errors.h"
#include "skipattn/routing/plan.h"
#include "skipattn/routing/routes_json.h"
#include "skipattn/routing/routing.h"

namespace {

using nlohmann::json;
using namespace skipattn::routing;

json layer_json(const LayerPlan& layer) {
  json heads = json::array(), groups = json::array();
  for (const std::vector<SlotPair>& pairs : layer.heads) {
    json list = json::array();
    for (const SlotPair& pair : pairs)
      list.push_back({pair.key_layer, pair.key_slot, pair.value_layer, pair.value_slot});
    heads.push_back(std::move(list));
  }
  for (const Group& group : layer.groups)
    groups.push_back(json::array({group.first_head, group.head_count, json(group.sources)}));
  return {{"live_keys", layer.live_keys},
          {"live_values", layer.live_values},
          {"window", layer.window},
          {"last_key_reader", layer.last_key_reader},
          {"last_value_reader", layer.last_value_reader},
          {"key_reach", layer.key_reach},
          {"value_reach", layer.value_reach},
          {"first_key_slot", layer.first_key_slot},
          {"first_value_slot", layer.first_value_slot},
          {"heads", std::move(heads)},
          {"groups", std::move(groups)}};
}

json answer(const json& question) {
  try {
    const Routing routing = parse_routing(question["text"].get<std::string>(),
                                          {question["layers"].get<int>(), question["kv_heads"].get<int>()});
    json layers = json::array();
    for (const LayerPlan& layer : make_plan(routing).layers) layers.push_back(layer_json(layer));
    return {{"text", routing.text},
            {"explicit", explicit_text(routing)},
            {"is_baseline", routing.is_baseline()},
            {"routes", routes_json(routing)},
            {"layers", std::move(layers)}};
  } catch (const skipattn::InputError& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(json::parse(line)).dump() << '\n';
}
