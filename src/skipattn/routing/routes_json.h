// A routing as JSON for scripts: what every head really reads.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// The key `routes` of `skipattn plan --json`: a list of L lists of Hkv objects {"key": …, "value":
/// …}, each a layer index (that layer's same head), "2.h5" (layer 2, head 5), a list of these
/// (joint sources) or "none". The chain is applied. Throws InputError when the table is not sound.
nlohmann::json routes_json(const Routing& routing);

}  // namespace skipattn::routing
