// The explicit table: a JSON object (or the same in TOML) that lists what is not ordinary, head by
// head.
//
//   {"layers": 4, "kv_heads": 4, "windows": [64, 0, 0, 0], "routes": [
//     {"layer": "2-3", "head": [0, 1], "key": 0, "value": "own"},
//     {"layer": 3, "head": 2, "key": ["own", 1], "value": ["own", {"layer": 1, "head": 3}]},
//     {"layer": 3, "head": 3, "key": "none", "value": "none"}]}
//
// docs/routing.md explains every key. Used inside the module only; people call parse_routing().
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "skipattn/core/errors.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// Parses JSON text strictly: an object's key given twice is a fault too. Null with a fault when it
/// is not JSON.
nlohmann::json parse_strict_json(std::string_view text, FaultList& faults);

/// Reads a parsed table for a model of `shape`; the text of the result is not set. Faults are added
/// to `faults`; those that a table shows without its text are left to find_faults(). A table that
/// says it is of another shape comes back in that shape, with a fault, so that its routes are not
/// blamed for it.
Routing read_explicit_table(const nlohmann::json& table, const Shape& shape, FaultList& faults);

}  // namespace skipattn::routing
