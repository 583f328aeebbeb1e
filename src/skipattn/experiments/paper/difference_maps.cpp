#include "skipattn/experiments/paper/difference_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "skipattn/core/text.h"
#include "skipattn/experiments/paper/heat_map.h"
#include "skipattn/experiments/sweep/names.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

/// The comparisons that differ in the two keys only, by the places of their values in the axes.
struct Grid {
  std::vector<std::string> fixed;                                  ///< the other settings, as people read them
  std::map<std::pair<size_t, size_t>, const SweepComparison*> at;  ///< (column, row)
};

/// The two axes of the maps, columns first.
std::vector<const SweepAxis*> map_axes(const Sweep& sweep) {
  std::vector<const SweepAxis*> axes;
  for (const SweepAxis& axis : sweep.axes)
    if (axis.values.size() >= 2 && std::ranges::find(sweep.best, axis.key) == sweep.best.end()) axes.push_back(&axis);
  if (axes.size() < 2) return {};
  return {axes[axes.size() - 2], axes.back()};
}

std::optional<size_t> place_of(const SweepAxis& axis, const SweepCell& cell) {
  const auto* value = find_setting(cell.settings, axis.key);
  if (!value) return std::nullopt;
  const auto found = std::ranges::find(axis.values, *value);
  return found == axis.values.end() ? std::nullopt : std::optional(static_cast<size_t>(found - axis.values.begin()));
}

std::vector<std::string> other_settings(const Sweep& sweep, const SweepCell& cell, const SweepAxis& x,
                                        const SweepAxis& y) {
  std::vector<std::string> texts;
  for (const auto& [key, value] : cell.settings) {
    if (key == x.key || key == y.key || std::ranges::find(sweep.best, key) != sweep.best.end()) continue;
    const bool names_itself = key == kRoutingKey || key == kVariantKey;
    texts.push_back(names_itself ? setting_text(value) : fmt::format("{} = {}", key, setting_text(value)));
  }
  return texts;
}

std::vector<Grid> grids(const SweepResults& results, const SweepAxis& x, const SweepAxis& y) {
  std::vector<Grid> all;
  for (const SweepComparison& comparison : results.comparisons) {
    if (comparison.budget) continue;
    const SweepCell& cell = results.sweep.cells[results.sweep.groups[comparison.group].cells.front()];
    const auto column = place_of(x, cell), row = place_of(y, cell);
    if (!column || !row) continue;
    const std::vector<std::string> fixed = other_settings(results.sweep, cell, x, y);
    auto found = std::ranges::find(all, fixed, &Grid::fixed);
    if (found == all.end()) found = all.insert(all.end(), {fixed, {}});
    found->at[{*column, *row}] = &comparison;
  }
  return all;
}

/// "sla, against baseline, 4 seeds each": what all cells of a map share.
std::string subtitle(const SweepResults& results, const Grid& grid) {
  std::set<std::string> references;
  std::set<int> pairs;
  for (const auto& [place, comparison] : grid.at) {
    references.insert(results.sweep.groups[comparison->against].name);
    if (comparison->paired.delta) pairs.insert(comparison->paired.pairs());
  }
  std::vector<std::string> parts = grid.fixed;
  parts.push_back(references.size() == 1 ? "against " + *references.begin() : "each against a reference of its own");
  if (pairs.size() == 1) parts.push_back(fmt::format("{} seed{} each", *pairs.begin(), *pairs.begin() == 1 ? "" : "s"));
  if (pairs.size() > 1) parts.push_back(fmt::format("{} to {} seeds", *pairs.begin(), *pairs.rbegin()));
  return join(parts, ", ");
}

HeatCell heat_cell(const Grid& grid, std::pair<size_t, size_t> place) {
  const auto found = grid.at.find(place);
  if (found == grid.at.end()) return {.absent = "reference"};  // only a reference is compared with nothing
  const PairedComparison& paired = found->second->paired;
  if (!paired.delta) return {.absent = "not measured"};
  return {.value = paired.delta, .half_width = paired.half_width, .verdict = found->second->verdict, .absent = {}};
}

std::string map_csv(const SweepResults& results, const Grid& grid, const SweepAxis& x, const SweepAxis& y) {
  std::string out = csv_line(
      {x.key, y.key, "name", "against", "seeds", "difference", "ci95_low", "ci95_high", "p_value_holm", "verdict"});
  for (const auto& [place, comparison] : grid.at) {
    const PairedComparison& paired = comparison->paired;
    const auto low = paired.ci95 ? std::optional(paired.ci95->low) : std::nullopt;
    const auto high = paired.ci95 ? std::optional(paired.ci95->high) : std::nullopt;
    out += csv_line({setting_text(x.values[place.first]), setting_text(y.values[place.second]),
                     results.sweep.groups[comparison->group].name, results.sweep.groups[comparison->against].name,
                     std::to_string(paired.pairs()), csv_number(paired.delta), csv_number(low), csv_number(high),
                     csv_number(comparison->p_value_holm), std::string(verdict_name(comparison->verdict))});
  }
  return out;
}

/// The places of an axis that occur in the grid, ascending.
template <typename Side>
std::vector<size_t> used(const Grid& grid, const Side& side) {
  std::set<size_t> places;
  for (const auto& [place, comparison] : grid.at) places.insert(side(place));
  return {places.begin(), places.end()};
}

std::optional<HeatMap> heat_map(const SweepResults& results, const Grid& grid, const SweepAxis& x, const SweepAxis& y) {
  const std::vector<size_t> columns = used(grid, [](const auto& place) { return place.first; });
  const std::vector<size_t> rows = used(grid, [](const auto& place) { return place.second; });
  const auto measured = [](const auto& item) { return item.second->paired.delta.has_value(); };
  if (columns.size() < 2 || rows.size() < 2 || std::ranges::none_of(grid.at, measured)) return std::nullopt;
  HeatMap map{.title = "Difference in validation loss", .x_label = axis_label(x), .y_label = axis_label(y)};
  map.subtitle = subtitle(results, grid);
  for (const size_t column : columns) map.columns.push_back(setting_text(x.values[column]));
  for (const size_t row : rows) {
    map.rows.push_back(setting_text(y.values[row]));
    for (const size_t column : columns) map.cells.push_back(heat_cell(grid, {column, row}));
  }
  map.notes = {
      fmt::format("Framed: better or worse, p < 0.05 after Holm's correction over all {} comparisons of the sweep;",
                  results.comparisons.size()),
      "in the others nothing can be told. ± is half of the 95 % interval over seeds; below 0 is better."};
  return map;
}

}  // namespace

std::string axis_label(const SweepAxis& axis) {
  static const std::map<std::string, std::string> kLabels = {
      {"model.routing", "routing"},
      {"variant", "variant"},
      {"data.context", "context (tokens)"},
      {"data.document_mask", "document mask"},
      {"training.learning_rate", "learning rate"},
      {"training.tokens", "tokens trained on"},
      {"training.steps", "steps"},
      {"training.batch_size", "sequences per step"},
      {"model.name", "model"},
      {"model.layers", "layers"},
      {"model.width", "model width"},
      {"model.heads", "heads"},
  };
  const auto counts = [](const auto& value) { return value.is_number_integer(); };
  const bool counted = std::ranges::all_of(axis.values, counts);
  if (axis.key == "model.routing.distance")
    return counted ? "distance (layers)" : "distance (layers, or a share of them)";
  if (axis.key == "model.routing.heads") return counted ? "skip heads per layer" : "skip heads per layer (or a share)";
  const auto found = kLabels.find(axis.key);
  return found == kLabels.end() ? axis.key : found->second;
}

std::vector<PaperFigure> difference_maps(const SweepResults& results) {
  std::vector<PaperFigure> figures;
  const std::vector<const SweepAxis*> axes = map_axes(results.sweep);
  if (axes.empty()) return figures;
  const std::string name = fmt::format("difference_by_{}_and_{}", axes[0]->key, axes[1]->key);
  for (const Grid& grid : grids(results, *axes[0], *axes[1])) {
    const auto map = heat_map(results, grid, *axes[0], *axes[1]);
    if (!map) continue;
    const std::string number = figures.empty() ? "" : fmt::format("_{}", figures.size() + 1);
    figures.push_back({name + number, draw_heat_map(*map), map_csv(results, grid, *axes[0], *axes[1])});
  }
  return figures;
}

}  // namespace skipattn::experiments
