#include "skipattn/routing/explicit_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>

#include "skipattn/core/text.h"
#include "skipattn/routing/call.h"

namespace skipattn::routing {

namespace {

using nlohmann::json;

/// A source as written; what is not given is the reader's own.
struct SourceText {
  std::optional<int> layer;
  std::optional<int> head;
};

/// The key or the value side of one entry. No sources: "none".
struct SideText {
  bool sound = true;
  std::vector<SourceText> sources;
};

std::optional<int> whole_number(const json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  return parse_whole(value.dump());
}

void report_unknown_keys(const json& object, const std::vector<std::string>& known, const std::string& where,
                         FaultList& faults) {
  for (const auto& [key, value] : object.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      faults.add("{}unknown key '{}'{}, known are {}", where, key, did_you_mean(key, known), join(known, ", "));
}

/// An index, a list of indices, "4-11" or "all", as written; nothing is checked against `count` but
/// "all" uses it.
std::optional<std::vector<int>> read_indices(const json& value, int count) {
  std::vector<int> indices;
  if (value.is_array()) {
    for (const json& item : value) {
      const std::optional<int> index = whole_number(item);
      if (!index) return std::nullopt;
      indices.push_back(*index);
    }
    return indices;
  }
  if (const std::optional<int> index = whole_number(value)) return std::vector<int>{*index};
  if (!value.is_string()) return std::nullopt;
  const std::string text = value.get<std::string>();
  int first = 0;
  int last = count - 1;
  if (text != "all") {
    const std::vector<std::string> ends = split(text, '-');
    if (ends.size() != 2) return std::nullopt;
    const std::optional<int> low = parse_whole(trim(ends[0]));
    const std::optional<int> high = parse_whole(trim(ends[1]));
    if (!low || !high || *low > *high) return std::nullopt;
    first = *low;
    last = std::min(*high, std::max(count, *low));  // one too many is enough to be out of range
  }
  for (int index = first; index <= last; ++index) indices.push_back(index);
  return indices;
}

/// read_indices() with its faults: form, emptiness and range.
std::vector<int> read_places(const json& entry, const char* key, int count, const std::string& where,
                             FaultList& faults) {
  const json value = entry.value(key, json("all"));
  const std::optional<std::vector<int>> indices = read_indices(value, count);
  if (!indices || indices->empty()) {
    faults.add("{}{}={} must be an index, a list of indices, a range such as \"4-11\" or \"all\"", where, key,
               value.dump());
    return {};
  }
  for (const int index : *indices) {
    if (index >= 0 && index < count) continue;
    faults.add("{}{} {} is out of range, must be 0..{}", where, key, index, count - 1);
    return {};
  }
  return *indices;
}

/// "own", a layer, or {"layer": l, "head": h}.
std::optional<SourceText> read_source(const json& value) {
  if (value == "own") return SourceText{};
  if (const std::optional<int> layer = whole_number(value)) return SourceText{layer, std::nullopt};
  if (!value.is_object() || value.empty()) return std::nullopt;
  SourceText source;
  for (const auto& [key, item] : value.items()) {
    const std::optional<int> index = whole_number(item);
    if (!index || (key != "layer" && key != "head")) return std::nullopt;
    (key == "layer" ? source.layer : source.head) = index;
  }
  return source;
}

SideText read_side(const json& entry, const char* key, const std::string& where, FaultList& faults) {
  const json value = entry.value(key, json("own"));
  if (value == "none") return {};
  SideText side;
  for (const json& item : value.is_array() ? value : json::array({value})) {
    const std::optional<SourceText> source = read_source(item);
    if (source) {
      side.sources.push_back(*source);
      continue;
    }
    side.sound = false;
    faults.add("{}{}={} must be \"own\", a layer, {{\"layer\": l, \"head\": h}}{}", where, key, item.dump(),
               value.is_array() ? "" : ", a list of these, or \"none\"");
  }
  if (value.is_array() && value.empty()) {
    side.sound = false;
    faults.add("{}{}=[] is empty, write \"none\" for both key and value to drop attention", where, key);
  }
  return side;
}

bool sides_pair(const SideText& keys, const SideText& values, const std::string& where, FaultList& faults) {
  if (keys.sources.size() == values.sources.size()) return true;
  if (keys.sources.empty() || values.sources.empty())
    faults.add("{}only the {} is \"none\", key and value must both be", where, keys.sources.empty() ? "key" : "value");
  else
    faults.add("{}{} key and {} value sources do not pair, as many of each are needed", where, keys.sources.size(),
               values.sources.size());
  return false;
}

std::vector<Source> place_sources(const std::vector<SourceText>& texts, int layer, int head) {
  std::vector<Source> sources;
  for (const SourceText& text : texts) sources.push_back({text.layer.value_or(layer), text.head.value_or(head)});
  return sources;
}

/// Reads one element of "routes" into the table; `seen` holds the (layer, head) that earlier
/// elements defined.
void read_entry(const json& entry, const std::string& where, std::set<Source>& seen, Routing& routing,
                FaultList& faults) {
  if (!entry.is_object()) {
    faults.add("{}{} must be an object with layer, head, key and value", where, entry.dump());
    return;
  }
  report_unknown_keys(entry, {"layer", "head", "key", "value"}, where, faults);
  if (!entry.contains("layer")) {
    faults.add("{}layer is missing", where);
    return;
  }
  const std::vector<int> layers = read_places(entry, "layer", routing.shape.layers, where, faults);
  const std::vector<int> heads = read_places(entry, "head", routing.shape.kv_heads, where, faults);
  const SideText keys = read_side(entry, "key", where, faults);
  const SideText values = read_side(entry, "value", where, faults);
  if (!keys.sound || !values.sound || !sides_pair(keys, values, where, faults)) return;
  bool repeated = false;
  for (const int layer : layers) {
    for (const int head : heads) {
      repeated = !seen.insert({layer, head}).second || repeated;
      routing.routes[layer][head] = {place_sources(keys.sources, layer, head),
                                     place_sources(values.sources, layer, head)};
    }
  }
  if (repeated) faults.add("{}it defines a layer and head that is already defined", where);
}

void read_windows(const json& value, Routing& routing, FaultList& faults) {
  const json list = value.is_array() ? value : json(routing.windows.size(), value);
  if (list.size() != routing.windows.size()) {
    faults.add("windows has {} entries, must be {}, one a layer", list.size(), routing.windows.size());
    return;
  }
  for (size_t layer = 0; layer < list.size(); ++layer) {
    const std::optional<int> window = whole_number(list[layer]);
    if (window && *window >= 0) {
      routing.windows[layer] = *window;
      continue;
    }
    faults.add("windows={} must be a whole number of tokens, 0 for all, or a list of them", value.dump());
    return;
  }
}

/// The size the table gives itself, `actual` where it gives none or a senseless one; a fault unless
/// they agree.
int read_size(const json& table, const char* key, int actual, const char* noun, FaultList& faults) {
  constexpr int kLargest = 512;  // a text must not make us take memory for a giant table
  if (!table.contains(key)) return actual;
  const std::optional<int> size = whole_number(table[key]);
  if (size == actual) return actual;
  faults.add("{} is {} but the model has {} {}", key, table[key].dump(), actual, noun);
  return size && *size >= 1 && *size <= kLargest ? *size : actual;
}

}  // namespace

json parse_strict_json(std::string_view text, FaultList& faults) {
  constexpr int kDeepest = 16;  // printing a value recurses, so a hostile text must not decide how far
  std::vector<std::set<std::string>> open_objects;
  const auto watch_keys = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kDeepest) throw std::length_error("nested too deeply");
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second)
      faults.add("the key {} is given twice in one object", parsed.dump());
    return true;
  };
  try {
    return json::parse(text, watch_keys);
  } catch (const json::parse_error& error) {
    faults.add("not sound JSON at character {}", error.byte);
    return nullptr;
  } catch (const json::out_of_range&) {
    faults.add("a number is too large");
    return nullptr;
  } catch (const std::length_error& error) {
    faults.add("{}, {} levels are the most", error.what(), kDeepest);
    return nullptr;
  }
}

Routing read_explicit_table(const json& table, const Shape& shape, FaultList& faults) {
  report_unknown_keys(table, {"layers", "kv_heads", "chain", "windows", "routes"}, "", faults);
  Routing routing = baseline_routing({.layers = read_size(table, "layers", shape.layers, "layers", faults),
                                      .kv_heads = read_size(table, "kv_heads", shape.kv_heads, "KV heads", faults)});
  const json chain = table.value("chain", json("own"));
  if (chain == "resolved")
    routing.chain = Chain::kResolved;
  else if (chain != "own")
    faults.add("chain={} must be \"own\" or \"resolved\"", chain.dump());
  if (table.contains("windows")) read_windows(table["windows"], routing, faults);
  const json routes = table.value("routes", json());
  if (!routes.is_array()) {
    faults.add("routes must be a list of objects with layer, head, key and value");
    return routing;
  }
  std::set<Source> seen;
  for (size_t i = 0; i < routes.size(); ++i)
    read_entry(routes[i], fmt::format("routes[{}]: ", i), seen, routing, faults);
  return routing;
}

}  // namespace skipattn::routing
