// Prints a table as canonical JSON: ordinary heads left out, heads and layers with the same route
// in one entry.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "skipattn/routing/routing.h"

namespace skipattn::routing {

namespace {

using Json = nlohmann::ordered_json;

Json source_json(const Source& source, int layer, int head) {
  if (source.head != head) return {{"layer", source.layer}, {"head", source.head}};
  if (source.layer != layer) return source.layer;
  return "own";
}

Json side_json(const std::vector<Source>& sources, int layer, int head) {
  if (sources.empty()) return "none";
  if (sources.size() == 1) return source_json(sources[0], layer, head);
  Json list = Json::array();
  for (const Source& source : sources) list.push_back(source_json(source, layer, head));
  return list;
}

/// One item as itself, several as a list.
Json indices_json(const std::vector<int>& indices) {
  return indices.size() == 1 ? Json(indices[0]) : Json(indices);
}

/// Layers, heads and the route they share.
struct Entry {
  std::vector<int> layers;
  std::vector<int> heads;
  Json key;
  Json value;
};

/// The entries of one layer, in the order of their first head.
std::vector<Entry> layer_entries(const Routing& routing, int layer) {
  std::vector<Entry> entries;
  for (int head = 0; head < routing.shape.kv_heads; ++head) {
    const Route& route = routing.routes[layer][head];
    const Json key = side_json(route.keys, layer, head);
    const Json value = side_json(route.values, layer, head);
    if (key == "own" && value == "own") continue;
    const auto same = std::find_if(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.key == key && entry.value == value; });
    if (same != entries.end())
      same->heads.push_back(head);
    else
      entries.push_back({{layer}, {head}, key, value});
  }
  return entries;
}

std::vector<Entry> table_entries(const Routing& routing) {
  std::vector<Entry> entries;
  for (int layer = 0; layer < routing.shape.layers; ++layer) {
    for (Entry& entry : layer_entries(routing, layer)) {
      const auto same = std::find_if(entries.begin(), entries.end(), [&](const Entry& earlier) {
        return earlier.heads == entry.heads && earlier.key == entry.key && earlier.value == entry.value;
      });
      if (same != entries.end())
        same->layers.push_back(layer);
      else
        entries.push_back(std::move(entry));
    }
  }
  return entries;
}

}  // namespace

std::string explicit_text(const Routing& routing) {
  Json table = {{"layers", routing.shape.layers}, {"kv_heads", routing.shape.kv_heads}};
  if (routing.chain == Chain::kResolved) table["chain"] = "resolved";
  const std::vector<int>& windows = routing.windows;
  const auto has_window = [](int window) { return window != 0; };
  if (std::any_of(windows.begin(), windows.end(), has_window)) {
    const bool all_same =
        std::count(windows.begin(), windows.end(), windows[0]) == static_cast<std::ptrdiff_t>(windows.size());
    table["windows"] = all_same ? Json(windows[0]) : Json(windows);
  }
  Json routes = Json::array();
  for (const Entry& entry : table_entries(routing)) {
    Json item = {{"layer", indices_json(entry.layers)}};
    if (entry.heads.size() < static_cast<size_t>(routing.shape.kv_heads)) item["head"] = indices_json(entry.heads);
    item["key"] = entry.key;
    item["value"] = entry.value;
    routes.push_back(std::move(item));
  }
  table["routes"] = std::move(routes);
  return table.dump();
}

}  // namespace skipattn::routing
