// A routing for the terminal: what it saves as a table, where every head reads as a heat map.
//
//   fmt::print("{}\n{}", render_plan_table(summary), render_heat_map(summary.routing,
//   is_terminal));
#pragma once

#include <cstdint>
#include <string>

#include "skipattn/routing/costs.h"
#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// What render_plan_table() prints.
struct PlanSummary {
  std::string model;  ///< its name or directory
  Routing routing;
  Dimensions dimensions;             ///< of the same shape as the routing
  int64_t context = 1024;            ///< tokens that FLOPs are averaged over and the cache is shown for
  std::string cache_dtype = "bf16";  ///< fp32, bf16, fp16 or int8
};

/// Sizes, live heads, parameters, KV cache and FLOPs beside the baseline's, ending in a newline.
/// Throws what make_plan() and count_costs() throw.
std::string render_plan_table(const PlanSummary& summary);

/// Two panels, keys and values: a row for each layer, a column for each KV head, in each cell how
/// many layers back the head reads; beside them the live heads and the windows; a legend of the
/// marks that occur. The chain is applied. `color`: 256-colour ANSI backgrounds, readable on dark
/// and light terminals; else plain ASCII characters. Throws what make_plan() throws.
std::string render_heat_map(const Routing& routing, bool color);

}  // namespace skipattn::routing
