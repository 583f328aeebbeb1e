// From what a person hands over (a command line argument, a TOML or JSON value) to the one text
// that parse_routing() reads and that checkpoints hold.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace skipattn::routing {

/// "@path.toml" and "@path.json": the file's table as JSON text; anything else is returned as it
/// is. Throws InputError when the file cannot be read, ends otherwise, or is not sound TOML or
/// JSON.
std::string read_routing_argument(std::string_view text);

/// A JSON value, as `kv_routing` in a config.json: a string is the text itself, an object an
/// explicit table (or a named routing, {"name": "sla", "distance": 9}). Throws InputError for other
/// kinds of values.
std::string routing_text(const nlohmann::json& value);

/// TOML text that is a table, to the same JSON text; `where` names it in the error ("routes.toml").
/// A caller that has a parsed toml::table prints it with `out << toml::json_formatter{table}` and
/// has the JSON text. Throws InputError when it is not sound TOML.
std::string routing_text_from_toml(std::string_view toml, const std::string& where);

}  // namespace skipattn::routing
