#include "skipattn/routing/chain.h"

#include <fmt/format.h>

#include "skipattn/core/errors.h"
#include "skipattn/routing/head_faults.h"

namespace skipattn::routing {

namespace {

using Side = std::vector<Source> Route::*;

/// Follows single borrowings from `source` to the head that projects; `fault` says why there is no
/// such head.
Source follow(const Routing& routing, Side side, Source source, std::string& fault) {
  const int heads = routing.shape.layers * routing.shape.kv_heads;
  Source at = source;
  for (int step = 0; step <= heads; ++step) {
    const std::vector<Source>& next = routing.routes[at.layer][at.head].*side;
    if (next.empty() || (next.size() == 1 && next[0] == at)) return at;
    if (next.size() > 1) {
      fault = fmt::format("chain=resolved cannot follow layer {} head {}, which reads {} sources jointly", at.layer,
                          at.head, next.size());
      return at;
    }
    at = next[0];
  }
  fault = fmt::format("chain=resolved goes round in a circle from layer {} head {}", source.layer, source.head);
  return source;
}

bool has_repeated_pair(const Route& route) {
  for (size_t i = 0; i < route.keys.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (route.keys[i] == route.keys[j] && route.values[i] == route.values[j]) return true;
  return false;
}

Routing resolve(const Routing& routing, HeadFaults& faults) {
  Routing resolved = routing;
  if (routing.chain == Chain::kOwn) return resolved;
  resolved.chain = Chain::kOwn;
  for (int layer = 0; layer < routing.shape.layers; ++layer) {
    for (int head = 0; head < routing.shape.kv_heads; ++head) {
      Route& route = resolved.routes[layer][head];
      for (const Side side : {&Route::keys, &Route::values}) {
        for (Source& source : route.*side) {
          if (source == Source{layer, head}) continue;
          std::string fault;
          source = follow(routing, side, source, fault);
          if (!fault.empty()) faults.add(layer, head, fault);
        }
      }
      if (has_repeated_pair(route)) faults.add(layer, head, "chain=resolved makes two of its sources the same");
    }
  }
  return resolved;
}

}  // namespace

Routing resolve_chain(const Routing& routing) {
  HeadFaults faults;
  Routing resolved = resolve(routing, faults);
  FaultList list;
  for (const std::string& line : faults.lines()) list.add_text(line);
  list.throw_if_any(fmt::format("[plan] {}: ", routing.text));
  return resolved;
}

std::vector<std::string> find_chain_faults(const Routing& routing) {
  HeadFaults faults;
  resolve(routing, faults);
  return faults.lines();
}

}  // namespace skipattn::routing
