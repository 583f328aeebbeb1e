// What came of a sweep: the figures of every cell, which cell speaks for each group, and every comparison with Holm's
// correction over all of them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skipattn/experiments/report/data.h"
#include "skipattn/experiments/sweep/sweep.h"

namespace skipattn::experiments {

struct CellResult {
  ReportVariant figures;  ///< runs, costs, speed; predicted_flops_ratio is over the reference's cell
  double flops_per_token_forward = 0;
  Summary loss;  ///< over all runs with a value
};

/// The cell that speaks for a group.
struct Choice {
  std::optional<size_t> cell;  ///< absent when no cell of the group has a result
  std::string note;            ///< what to know about the choice, one clause; may be ""
};

/// One group against another, by the cells chosen for them, paired by seed.
struct SweepComparison {
  size_t group = 0, against = 0;
  std::optional<Budget> budget;  ///< with a control; absent: with the reference
  PairedComparison paired;
  std::optional<double> p_value_holm;  ///< corrected for all comparisons of the sweep
  std::optional<double>
      detectable;  ///< true difference found in 4 of 5 such sweeps, at 0.05 over their number; 2 pairs
  /// "better" and "worse" need both: an interval without 0 and a corrected p-value below 0.05. So a sweep of many cells is not
  /// fooled by one of them, and below three seeds it cannot tell.
  Verdict verdict = Verdict::kCannotTell;
};

struct SweepResults {
  Sweep sweep;
  std::vector<CellResult> cells;  ///< as sweep.cells
  std::vector<Choice> choices;    ///< as sweep.groups
  std::vector<SweepComparison> comparisons;
  std::map<size_t, std::vector<std::string>> model_lines;  ///< facts about each reference's model and data, by group
  std::vector<std::string> machine_lines;

  /// Comparisons of one group, that with its reference first.
  std::vector<const SweepComparison*> comparisons_of(size_t group) const;
  const ReportVariant& chosen(size_t group) const { return cells[*choices[group].cell].figures; }
};

/// Reads what finished runs left under `out`. Throws as check_finished_runs().
SweepResults collect_sweep(const Sweep& sweep, const std::filesystem::path& out, const std::string& cache_dtype);

/// Choices and comparisons from the cells' runs; collect_sweep() ends with it.
void compare_cells(SweepResults& results);

/// One report (report.h) for each reference: the chosen cells that are compared with it, Holm's p-values of the whole sweep.
std::vector<ReportData> sweep_reports(const SweepResults& results);

}  // namespace skipattn::experiments
