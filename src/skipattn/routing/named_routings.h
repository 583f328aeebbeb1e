// The named routings and the tables they stand for: baseline, sla, skipv1, cla, yoco.
#pragma once

#include <string>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/routing/call.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// What people may write before the bracket.
std::vector<std::string> routing_names();

/// The table of one named routing, its text in canonical form (every argument that the name has,
/// resolved to whole numbers; chain and window only where they are not the default). Sources:
///   sla     Skip-Layer Attention, arXiv 2406.11274
///   skipv1  SkipV1Former, arXiv 2510.16807
///   cla     Cross-Layer Attention, arXiv 2405.12981
///   yoco    You Only Cache Once, arXiv 2405.05254
/// Faults are added to `faults`; the result is then of no use.
Routing named_routing(const Call& call, const Shape& shape, FaultList& faults);

}  // namespace skipattn::routing
