// Plan: what a routing compiles to. The model, the attention operator's caller, the KV cache and
// the printed tables all read this and nothing else.
#pragma once

#include <utility>
#include <vector>

#include "skipattn/routing/routing.h"

namespace skipattn::routing {

/// One (key, value) pair that a KV head attends over, as positions among the live heads of the
/// source layers: keys are live_keys[key_layer][key_slot], values are
/// live_values[value_layer][value_slot].
struct SlotPair {
  int key_layer = 0;
  int key_slot = 0;
  int value_layer = 0;
  int value_slot = 0;
  auto operator<=>(const SlotPair&) const = default;
};

/// A run of neighbouring KV heads that read the same (key layer, value layer) pairs. Their slots
/// follow each other too unless a route names another head than the reader's.
struct Group {
  int first_head = 0;
  int head_count = 0;
  /// (key layer, value layer), in the order of the route; empty: no attention.
  std::vector<std::pair<int, int>> sources;
  bool operator==(const Group&) const = default;
};

/// One layer of the plan.
struct LayerPlan {
  std::vector<int> live_keys;                ///< KV heads whose keys this layer projects, ascending
  std::vector<int> live_values;              ///< KV heads whose values this layer projects, ascending
  std::vector<std::vector<SlotPair>> heads;  ///< [Hkv][pairs]
  std::vector<Group> groups;                 ///< cover the heads in order
  int window = 0;                            ///< tokens a query looks back, itself included; 0 = all
  int last_key_reader = -1;                  ///< last layer that reads this layer's keys; -1 when none are live
  int last_value_reader = -1;                ///< the same for its values
  int key_reach = 0;         ///< farthest any reader looks back at these keys; 0 = all tokens (or none live)
  int value_reach = 0;       ///< the same for its values
  int first_key_slot = 0;    ///< live key heads of all earlier layers: where this layer's keys begin
  int first_value_slot = 0;  ///< the same for its values
};

/// The whole model's plan.
struct Plan {
  Shape shape;
  std::vector<LayerPlan> layers;  ///< [L]

  int live_key_heads() const;    ///< over all layers; the baseline has L * Hkv
  int live_value_heads() const;  ///< over all layers
  /// Head vectors a KV cache holds for each token: live keys and live values together.
  int cache_slots() const { return live_key_heads() + live_value_heads(); }
};

/// Compiles a sound table (parse_routing only returns such), chain applied (chain.h); throws
/// InputError when find_faults() is not empty.
Plan make_plan(const Routing& routing);

}  // namespace skipattn::routing
