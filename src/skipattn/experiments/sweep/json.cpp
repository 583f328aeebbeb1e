// A sweep as JSON.
#include <algorithm>
#include <cmath>

#include "skipattn/experiments/report/json.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

using nlohmann::ordered_json;

ordered_json number(std::optional<double> value) {
  return value && std::isfinite(*value) ? ordered_json(*value) : ordered_json();
}

/// The group that a cell speaks for or might have; the first one where it is in several.
size_t group_of(const Sweep& sweep, size_t cell) {
  const auto has = [&](const SweepGroup& group) { return std::ranges::find(group.cells, cell) != group.cells.end(); };
  return static_cast<size_t>(std::ranges::find_if(sweep.groups, has) - sweep.groups.begin());
}

/// Puts what the sweep's comparison says in the place of what compare's keys would.
void put_comparison(ordered_json& row, const SweepComparison& comparison) {
  const PairedComparison& c = comparison.paired;
  row["verdict"] = verdict_name(comparison.verdict);
  row["delta_vs_baseline"] = number(c.delta);
  row["delta_ci95"] = c.ci95 ? ordered_json{c.ci95->low, c.ci95->high} : ordered_json{nullptr, nullptr};
  row["p_value"] = row["p_value_holm"] = number(comparison.p_value_holm);
  row["p_value_uncorrected"] = number(c.p_value);
  row["delta_half_width"] = number(c.half_width);
  row["delta_sd"] = number(c.delta_sd);
  row["detectable_difference"] = number(comparison.detectable);
  row["note"] = c.note;
}

ordered_json control_json(const SweepResults& results, const SweepComparison& comparison) {
  ordered_json row = {
      {"equal", budget_name(*comparison.budget)},
      {"name", results.choices[comparison.against].cell ? results.chosen(comparison.against).name
                                                        : results.sweep.groups[comparison.against].name},
      {"seeds", comparison.paired.pairs()}};
  put_comparison(row, comparison);
  row["delta_vs_control"] = row["delta_vs_baseline"];
  row.erase("delta_vs_baseline");
  return row;
}

ordered_json cell_json(const SweepResults& results, size_t cell) {
  const SweepCell& planned = results.sweep.cells[cell];
  const size_t g = group_of(results.sweep, cell);
  const SweepGroup& group = results.sweep.groups[g];
  const bool chosen = results.choices[g].cell == cell;
  ReportVariant figures = results.cells[cell].figures;
  figures.is_baseline = group.role == Role::kReference;
  ordered_json row;
  row["overrides"] = ordered_json::object();
  for (const auto& [key, value] : planned.settings) row["overrides"][key] = value;
  row["role"] = role_name(group.role);
  row["chosen"] = chosen;
  row["compared_with"] = nullptr;
  const nlohmann::json compare_keys = variant_json(figures);
  for (const auto& [key, value] : compare_keys.items()) row[key] = value;
  row["p_value_uncorrected"] = nullptr;
  if (chosen && !results.choices[g].note.empty()) row["note"] = results.choices[g].note;
  if (!chosen && group.cells.size() > 1) row["note"] = "not the best of its group; not compared";
  ordered_json controls = ordered_json::array();
  for (const SweepComparison* comparison : results.comparisons_of(g)) {
    if (!chosen) break;
    if (comparison->budget) {
      controls.push_back(control_json(results, *comparison));
      continue;
    }
    put_comparison(row, *comparison);
    row["seeds"] = comparison->paired.pairs();
    if (results.choices[comparison->against].cell) row["compared_with"] = results.chosen(comparison->against).name;
    if (!results.choices[g].note.empty()) row["note"] = results.choices[g].note;
  }
  row["controls"] = controls;
  return row;
}

}  // namespace

ordered_json sweep_json(const SweepResults& results) {
  ordered_json runs = ordered_json::array();
  for (size_t cell = 0; cell < results.cells.size(); ++cell) runs.push_back(cell_json(results, cell));
  return runs;
}

}  // namespace skipattn::experiments
