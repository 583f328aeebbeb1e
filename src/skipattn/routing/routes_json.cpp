#include "skipattn/routing/routes_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "skipattn/routing/chain.h"

namespace skipattn::routing {

namespace {

nlohmann::json side_json(const std::vector<Source>& sources, int head) {
  nlohmann::json items = nlohmann::json::array();
  for (const Source& source : sources) {
    if (source.head == head)
      items.push_back(source.layer);
    else
      items.push_back(fmt::format("{}.h{}", source.layer, source.head));
  }
  if (items.empty()) return "none";
  return items.size() == 1 ? items[0] : items;
}

}  // namespace

nlohmann::json routes_json(const Routing& routing) {
  const Routing resolved = resolve_chain(routing);
  nlohmann::json layers = nlohmann::json::array();
  for (const std::vector<Route>& routes : resolved.routes) {
    nlohmann::json heads = nlohmann::json::array();
    for (size_t head = 0; head < routes.size(); ++head)
      heads.push_back({{"key", side_json(routes[head].keys, static_cast<int>(head))},
                       {"value", side_json(routes[head].values, static_cast<int>(head))}});
    layers.push_back(std::move(heads));
  }
  return layers;
}

}  // namespace skipattn::routing
