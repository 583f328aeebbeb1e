// Routing heat maps: for each layer and KV head, how many layers back it reads its keys or values.
#pragma once

#include <string>

#include "skipattn/experiments/report/data.h"

namespace skipattn::experiments::svg {

enum class RoutingSide { kKeys, kValues };

/// The sources of one side of a route in words: "its own layer", "layer 0, head 3 (9 back)",
/// "nothing".
std::string source_text(const routing::Route& route, RoutingSide side, int layer, int head);

/// L rows (layer 0 on top) x Hkv columns; the colour is the distance, on a scale that ends at
/// `max_distance`, the number in a cell the layer read when there is room. "" without routes.
std::string heat_map(const std::string& id, const ReportVariant& variant, RoutingSide side, int max_distance);

/// The largest distance of all variants, at least 1.
int largest_distance(const ReportData& data);

/// One line per run of layers and heads that read alike: {"layers 9–11", "heads 3–11", "9 back"}.
struct RoutingLine {
  std::string layers;
  std::string heads;
  std::string keys;
  std::string values;
};
std::vector<RoutingLine> routing_lines(const ReportVariant& variant);

}  // namespace skipattn::experiments::svg
