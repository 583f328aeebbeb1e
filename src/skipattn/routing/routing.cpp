#include "skipattn/routing/routing.h"

#include <fmt/format.h>

#include <algorithm>

#include "skipattn/routing/chain.h"
#include "skipattn/routing/head_faults.h"

namespace skipattn::routing {

namespace {

/// The first fault of one source, "" when it is sound. `side` is "key" or "value".
std::string source_fault(const Source& source, const char* side, int reader, const Shape& shape) {
  if (source.layer < 0 || source.layer >= shape.layers)
    return fmt::format("{} layer {} is out of range, must be 0..{}", side, source.layer, reader);
  if (source.layer > reader)
    return fmt::format("{} layer {} is later than its reader, must be 0..{}", side, source.layer, reader);
  if (source.head < 0 || source.head >= shape.kv_heads)
    return fmt::format("{} head {} is out of range, must be 0..{}", side, source.head, shape.kv_heads - 1);
  return "";
}

void find_route_faults(const Routing& routing, int layer, int head, HeadFaults& faults) {
  const Route& route = routing.routes[layer][head];
  const auto check = [&](const std::vector<Source>& sources, const char* side) {
    for (const Source& source : sources) {
      const std::string fault = source_fault(source, side, layer, routing.shape);
      if (!fault.empty()) faults.add(layer, head, fault);
    }
  };
  check(route.keys, "key");
  check(route.values, "value");
  if (route.keys.size() != route.values.size()) {
    faults.add(layer, head,
               fmt::format("{} key and {} value sources do not pair, as many of each are needed", route.keys.size(),
                           route.values.size()));
    return;
  }
  for (size_t i = 0; i < route.keys.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (route.keys[i] == route.keys[j] && route.values[i] == route.values[j])
        faults.add(layer, head, "the same pair of key and value source is listed twice");
}

/// Faults of the table's outer form; while there are any, its routes cannot be looked at.
std::vector<std::string> find_form_faults(const Routing& routing) {
  std::vector<std::string> faults;
  const auto [layers, kv_heads] = routing.shape;
  if (layers < 1) faults.push_back(fmt::format("layers is {}, must be 1 or more", layers));
  if (kv_heads < 1) faults.push_back(fmt::format("kv_heads is {}, must be 1 or more", kv_heads));
  if (!faults.empty()) return faults;
  if (routing.routes.size() != static_cast<size_t>(layers))
    faults.push_back(fmt::format("the table has {} layers of routes, must be {}", routing.routes.size(), layers));
  if (routing.windows.size() != static_cast<size_t>(layers))
    faults.push_back(fmt::format("windows has {} entries, must be {}, one a layer", routing.windows.size(), layers));
  for (size_t layer = 0; layer < routing.routes.size(); ++layer)
    if (routing.routes[layer].size() != static_cast<size_t>(kv_heads))
      faults.push_back(fmt::format("layer {} has {} routes, must be {}, one a KV head", layer,
                                   routing.routes[layer].size(), kv_heads));
  return faults;
}

}  // namespace

bool Routing::operator==(const Routing& other) const {
  return shape == other.shape && routes == other.routes && windows == other.windows && chain == other.chain;
}

bool Routing::is_baseline() const {
  const Routing identity = baseline_routing(shape);
  return routes == identity.routes && windows == identity.windows;
}

Routing baseline_routing(const Shape& shape) {
  Routing routing;
  routing.shape = shape;
  routing.text = "baseline";
  routing.windows.assign(std::max(shape.layers, 0), 0);
  for (int layer = 0; layer < shape.layers; ++layer) {
    std::vector<Route>& heads = routing.routes.emplace_back();
    for (int head = 0; head < shape.kv_heads; ++head)
      heads.push_back({.keys = {{layer, head}}, .values = {{layer, head}}});
  }
  return routing;
}

std::vector<std::string> find_faults(const Routing& routing) {
  std::vector<std::string> faults = find_form_faults(routing);
  if (!faults.empty()) return faults;
  for (int layer = 0; layer < routing.shape.layers; ++layer)
    if (routing.windows[layer] < 0)
      faults.push_back(
          fmt::format("the window of layer {} is {}, must be 0 (all tokens) or more", layer, routing.windows[layer]));
  HeadFaults head_faults;
  for (int layer = 0; layer < routing.shape.layers; ++layer)
    for (int head = 0; head < routing.shape.kv_heads; ++head) find_route_faults(routing, layer, head, head_faults);
  for (std::string& line : head_faults.lines()) faults.push_back(std::move(line));
  return faults.empty() ? find_chain_faults(routing) : faults;
}

}  // namespace skipattn::routing
