// What borrowing from a head that itself borrows means, worked out.
//
//   layer 4 reads layer 2, layer 2 reads layer 0 (same head):
//     chain=own       layer 4 attends over what layer 2 projected for that head;
//     chain=resolved  layer 4 attends over what layer 0 projected.
#pragma once

#include <string>
#include <vector>

#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// The table with its chain applied: the same heads, every source now a head whose own projection
/// is read, chain = own. With chain = resolved each source is followed to its root, keys and values
/// separately; a root is a head that reads itself or attends to nothing. Each source of a joint
/// list is followed by itself, "own" in it stays own. The text is left as it was. Throws InputError
/// listing what find_chain_faults() finds.
Routing resolve_chain(const Routing& routing);

/// Faults that only following the chain shows, empty with chain = own: a source that is itself
/// joint (it has no single root), heads of one layer that read each other in a circle, a pair that
/// comes twice once followed. The table must be free of the faults that find_faults() looks for
/// first.
std::vector<std::string> find_chain_faults(const Routing& routing);

}  // namespace skipattn::routing
