#include <nlohmann/json.hpp>

#include "skipattn/core/text.h"
#include "skipattn/routing/call.h"
#include "skipattn/routing/explicit_table.h"
#include "skipattn/routing/named_routings.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {

namespace {

/// The text on one line and short enough to stand before a fault.
std::string title_of(std::string_view text) {
  constexpr size_t kLongest = 48;
  std::string title(text.substr(0, kLongest));
  for (char& c : title)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  // A cut must not leave half of a UTF-8 character behind.
  if (text.size() > kLongest) {
    while (!title.empty() && (static_cast<unsigned char>(title.back()) & 0xC0) == 0x80) title.pop_back();
    if (!title.empty() && static_cast<unsigned char>(title.back()) >= 0xC0) title.pop_back();
    title += "...";
  }
  return title;
}

/// {"name": "sla", "distance": 9}: a named routing written as an object.
Call call_from_object(const nlohmann::json& object, FaultList& faults) {
  const auto text_of = [](const nlohmann::json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  Call call;
  for (const auto& [key, value] : object.items()) {
    if (key != "name")
      call.arguments.emplace_back(key, text_of(value));
    else if (value.is_string())
      call.name = value.get<std::string>();
    else
      faults.add("name={} must be the name of a routing", value.dump());
  }
  return call;
}

Routing parse_object(std::string_view text, const Shape& shape, FaultList& faults) {
  const nlohmann::json object = parse_strict_json(text, faults);
  if (!faults.empty()) return {};
  if (object.contains("name")) {
    const Call call = call_from_object(object, faults);
    return faults.empty() ? named_routing(call, shape, faults) : Routing{};
  }
  Routing routing = read_explicit_table(object, shape, faults);
  for (std::string& fault : find_faults(routing)) faults.add_text(std::move(fault));
  if (faults.empty()) routing.text = explicit_text(routing);
  return routing;
}

Routing parse_text(std::string_view text, const Shape& shape, FaultList& faults) {
  if (shape.layers < 1) faults.add("layers={} must be 1 or more", shape.layers);
  if (shape.kv_heads < 1) faults.add("kv_heads={} must be 1 or more", shape.kv_heads);
  if (text.empty()) faults.add("the routing is empty, write one of {}", join(routing_names(), ", "));
  if (!faults.empty()) return {};
  if (text.starts_with('{')) return parse_object(text, shape, faults);
  const Call call = parse_call(text, faults);
  return named_routing(call, shape, faults);
}

}  // namespace

Routing parse_routing(std::string_view text, const Shape& shape) {
  text = trim(text);
  FaultList faults;
  Routing routing = parse_text(text, shape, faults);
  faults.throw_if_any(text.empty() ? "[plan] " : fmt::format("[plan] {}: ", title_of(text)));
  return routing;
}

}  // namespace skipattn::routing
