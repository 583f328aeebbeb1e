#include "skipattn/experiments/sweep/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "skipattn/core/text.h"
#include "skipattn/experiments/compare.h"
#include "skipattn/experiments/sweep/names.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

constexpr double kLevel = 0.05, kPower = 0.8;

int finite_count(const SeedValues& values) {
  return static_cast<int>(std::ranges::count_if(values, [](const auto& item) { return std::isfinite(item.second); }));
}

/// Mean loss over the seeds that all candidates have a value for.
double mean_over_common(const SeedValues& values, const std::vector<SeedValues>& candidates) {
  std::vector<double> common;
  for (const auto& [seed, value] : values) {
    const auto has_value = [&, at = seed](const SeedValues& other) {
      const auto found = other.find(at);
      return found != other.end() && std::isfinite(found->second);
    };
    if (std::ranges::all_of(candidates, has_value)) common.push_back(value);
  }
  return mean(common);
}

/// Where a chosen number lies at the end of what was tried, better ones may lie beyond.
std::string edge_note(const Sweep& sweep, const SweepCell& cell) {
  std::vector<std::string> notes;
  for (const std::string& key : sweep.best) {
    const auto axis = std::ranges::find(sweep.axes, key, &SweepAxis::key);
    const auto* value = find_setting(cell.settings, key);
    const auto is_number = [](const auto& item) { return item.is_number(); };
    if (!value || axis->values.size() < 3 || !std::ranges::all_of(axis->values, is_number)) continue;
    const auto [low, high] = std::ranges::minmax(axis->values);
    if (*value == low) notes.push_back(fmt::format("{} is the smallest {} tried", setting_text(*value), key));
    if (*value == high) notes.push_back(fmt::format("{} is the largest {} tried", setting_text(*value), key));
  }
  return join(notes, ", ");
}

/// Of the cells with the most finished seeds, the one of lowest mean loss over the seeds they share.
Choice choose(const SweepResults& results, const SweepGroup& group) {
  std::vector<size_t> cells;
  std::vector<SeedValues> losses;
  int most = 1;
  for (const size_t cell : group.cells)
    most = std::max(most, finite_count(validation_losses(results.cells[cell].figures)));
  for (const size_t cell : group.cells) {
    SeedValues values = validation_losses(results.cells[cell].figures);
    if (finite_count(values) < most) continue;
    cells.push_back(cell);
    losses.push_back(std::move(values));
  }
  Choice choice;
  double best = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < cells.size(); ++i) {
    double loss = mean_over_common(losses[i], losses);
    if (std::isnan(loss)) loss = results.cells[cells[i]].loss.mean.value_or(best);  // no seed in common
    if (choice.cell && !(loss < best)) continue;
    choice.cell = cells[i];
    best = loss;
  }
  if (!choice.cell || group.cells.size() == 1) return choice;
  choice.note = edge_note(results.sweep, results.sweep.cells[*choice.cell]);
  if (cells.size() < group.cells.size())
    choice.note += fmt::format("{}chosen of {} of {} cells; the others have fewer results",
                               choice.note.empty() ? "" : ", ", cells.size(), group.cells.size());
  return choice;
}

SweepComparison compare_groups(const SweepResults& results, size_t group, size_t against,
                               std::optional<Budget> budget) {
  SweepComparison comparison{group, against, budget, {}, {}, {}, Verdict::kCannotTell};
  if (results.choices[group].cell && results.choices[against].cell)
    comparison.paired =
        compare_paired(validation_losses(results.chosen(group)), validation_losses(results.chosen(against)));
  else
    comparison.paired.note = "no seed has a value on both sides: nothing was compared";
  return comparison;
}

void correct(std::vector<SweepComparison>& comparisons) {
  std::vector<std::optional<double>> p_values;
  for (const SweepComparison& comparison : comparisons) p_values.push_back(comparison.paired.p_value);
  const auto adjusted = holm_adjust(p_values);
  for (size_t i = 0; i < adjusted.size(); ++i) {
    comparisons[i].p_value_holm = adjusted[i];
    if (adjusted[i] && *adjusted[i] < kLevel) comparisons[i].verdict = comparisons[i].paired.verdict;
    if (const PairedComparison& paired = comparisons[i].paired; paired.half_width)
      comparisons[i].detectable =
          *paired.delta_sd *
          detectable_difference(paired.pairs(), kPower, kLevel / static_cast<double>(comparisons.size()));
  }
}

/// Every cell's FLOPs over those of the cell chosen for its reference.
void fill_flops(SweepResults& results) {
  for (const SweepGroup& group : results.sweep.groups) {
    const SweepGroup& reference = results.sweep.groups[group.reference];
    const size_t base = results.choices[group.reference].cell.value_or(reference.cells.front());
    for (const size_t cell : group.cells)
      results.cells[cell].figures.predicted_flops_ratio =
          results.cells[cell].flops_per_token_forward / results.cells[base].flops_per_token_forward;
  }
}

}  // namespace

std::vector<const SweepComparison*> SweepResults::comparisons_of(size_t group) const {
  std::vector<const SweepComparison*> list;
  for (const SweepComparison& comparison : comparisons)
    if (comparison.group == group) list.push_back(&comparison);
  return list;
}

void compare_cells(SweepResults& results) {
  for (CellResult& cell : results.cells) cell.loss = cell.figures.loss = summarise(validation_losses(cell.figures));
  results.choices.clear();
  for (const SweepGroup& group : results.sweep.groups) results.choices.push_back(choose(results, group));
  fill_flops(results);
  results.comparisons.clear();
  for (size_t g = 0; g < results.sweep.groups.size(); ++g) {
    const SweepGroup& group = results.sweep.groups[g];
    if (group.role != Role::kVariant) continue;
    results.comparisons.push_back(compare_groups(results, g, group.reference, std::nullopt));
    for (const auto& [budget, control] : group.controls)
      results.comparisons.push_back(compare_groups(results, g, control, budget));
  }
  correct(results.comparisons);
}

SweepResults collect_sweep(const Sweep& sweep, const std::filesystem::path& out, const std::string& cache_dtype) {
  check_finished_runs(sweep.experiment, out);
  const std::vector<PlannedRun> runs = plan_runs(sweep.experiment, out);
  SweepResults results;
  results.sweep = sweep;
  for (VariantFigures& figures : collect_variants(sweep.experiment, runs, cache_dtype))
    results.cells.push_back({std::move(figures.row), figures.flops_per_token_forward, {}});
  results.machine_lines = machine_lines(runs);
  compare_cells(results);
  for (size_t g = 0; g < sweep.groups.size(); ++g)
    if (sweep.groups[g].role == Role::kReference && results.choices[g].cell)
      results.model_lines[g] = model_lines(sweep.experiment, sweep.experiment.variants[*results.choices[g].cell]);
  return results;
}

std::vector<ReportData> sweep_reports(const SweepResults& results) {
  std::vector<ReportData> reports;
  for (size_t r = 0; r < results.sweep.groups.size(); ++r) {
    if (results.sweep.groups[r].role != Role::kReference || !results.choices[r].cell) continue;
    ReportData data;
    data.title = "Skip-layer attention: sweep, against " + results.sweep.groups[r].name;
    data.maker = "skipattn sweep";
    data.created = time_now();
    if (const auto found = results.model_lines.find(r); found != results.model_lines.end())
      data.model_lines = found->second;
    data.machine_lines = results.machine_lines;
    data.notice = fmt::format(
        "Verdicts ask for a p-value below 0.05 after Holm's correction over all {} comparisons of the sweep.",
        results.comparisons.size());
    if (const std::string best = best_sentence(results.sweep); !best.empty()) data.notice += " " + best;
    data.variants.push_back(results.chosen(r));
    data.variants.front().is_baseline = true;
    std::vector<const SweepComparison*> compared(1);
    for (const SweepComparison& comparison : results.comparisons) {
      if (comparison.against != r || !results.choices[comparison.group].cell) continue;
      data.variants.push_back(results.chosen(comparison.group));
      compared.push_back(&comparison);
    }
    if (data.variants.size() < 2) continue;
    fill_statistics(data);
    for (size_t i = 1; i < compared.size(); ++i) {
      data.variants[i].p_value_holm = compared[i]->p_value_holm;
      data.variants[i].comparison.verdict = compared[i]->verdict;
      data.variants[i].comparison.detectable = compared[i]->detectable;
    }
    reports.push_back(std::move(data));
  }
  return reports;
}

}  // namespace skipattn::experiments
