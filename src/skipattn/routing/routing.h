// Routing: from which layer each KV head of each layer takes its keys and its values. A plain
// table, no tensors.
//
//   const Routing routing = parse_routing("sla(distance=9, heads=9)", {.layers = 12, .kv_heads =
//   12}); const Plan plan = make_plan(routing);                    // plan.h: what is live, what
//   each layer reads routing.text                                             // the canonical
//   text, parses back to an equal table
//
// Skip-Layer Attention (arXiv 2406.11274): in layer l, skip heads read the keys and values that
// layer l - distance projected; the other heads read layer l's own. Everything else here
// generalises that table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skipattn::routing {

/// The part of a model that a routing depends on.
struct Shape {
  int layers = 0;    ///< L, 1 or more
  int kv_heads = 0;  ///< Hkv of every layer, 1 or more (Hkv < H is grouped-query attention)
  bool operator==(const Shape&) const = default;
};

/// One place keys or values can come from: what `layer` projected for its KV head `head`.
struct Source {
  int layer = 0;  ///< 0..L-1, not later than the reader
  int head = 0;   ///< 0..Hkv-1
  auto operator<=>(const Source&) const = default;
};

/// Where one KV head reads. keys[i] pairs with values[i]; one softmax runs over all pairs jointly,
/// each masked by position like the first. Both empty: this head attends to nothing and its output
/// is zero.
struct Route {
  std::vector<Source> keys;
  std::vector<Source> values;
  bool operator==(const Route&) const = default;
};

/// What borrowing from a head that itself borrows means.
enum class Chain {
  kOwn,       ///< the keys and values that the source layer itself projected for that head (the default)
  kResolved,  ///< follow the source's own route to its root, keys and values separately
};

/// The whole table. As written: `routes` names the sources before `chain` is applied; make_plan()
/// applies it.
struct Routing {
  Shape shape;
  std::vector<std::vector<Route>> routes;  ///< [L][Hkv]
  std::vector<int> windows;  ///< [L], tokens a query of that layer may look back, itself included; 0 = all
  Chain chain = Chain::kOwn;
  std::string text;  ///< canonical text; equal tables of named routings may differ in text

  /// Same table (the text is not compared).
  bool operator==(const Routing& other) const;
  /// True when every head reads its own layer and head and no layer has a window.
  bool is_baseline() const;
};

/// Every head reads its own layer.
Routing baseline_routing(const Shape& shape);

/// Parses one routing text: a named routing with arguments, or a JSON object holding an explicit
/// table or a named routing (docs/routing.md has the grammar). Fractions and defaults are resolved for `shape`. Throws
/// InputError that lists every fault, each on its own line beginning with "[plan] " and the
/// routing's text.
Routing parse_routing(std::string_view text, const Shape& shape);

/// The faults of a table (source out of range, later than its reader, lists that do not pair, …);
/// empty when it is sound.
std::vector<std::string> find_faults(const Routing& routing);

/// The table as the JSON text that parse_routing reads back to an equal table, whatever it was made
/// from.
std::string explicit_text(const Routing& routing);

}  // namespace skipattn::routing
