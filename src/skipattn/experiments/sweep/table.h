// A sweep's results for people and scripts: the terminal's table, `--json`, and files for papers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "skipattn/experiments/sweep/results.h"

namespace skipattn::experiments {

/// One line of a table. A reference has no comparison; a variant stands against its reference; a control's line shows the
/// control's own figures, and how the variant above it does against the control.
struct SweepLine {
  Role role = Role::kVariant;
  std::string name;                             ///< of the group
  std::string chosen;                           ///< "learning_rate=0.001": what was best; "" without such keys
  size_t group = 0;                             ///< whose figures are shown
  const SweepComparison* comparison = nullptr;  ///< null for references
};
/// References each with their variants, variants each with their controls.
std::vector<SweepLine> sweep_lines(const SweepResults& results);

/// The table, and below it what could have been detected, how bests were chosen, and runs without a result.
std::string sweep_table(const SweepResults& results, bool colour = false);

/// `runs` of `skipattn sweep --json`: every cell with the keys of a compare variant (report/json.h). p_value and p_value_holm
/// are corrected by Holm's method over all comparisons of the sweep, p_value_uncorrected is not.
nlohmann::ordered_json sweep_json(const SweepResults& results);

/// RFC 4180. results.csv: one line a run (cell and seed), a column for every key of [sweep].
std::string results_csv(const SweepResults& results);
/// One line a comparison: both names, difference, interval, p-values, verdict.
std::string comparisons_csv(const SweepResults& results);
/// A tabular for LaTeX with booktabs: the lines of the table.
std::string latex_table(const SweepResults& results);

/// How the best of swept keys were chosen, one sentence; "" where none were.
std::string best_sentence(const Sweep& sweep);

/// A cell of a CSV file, quoted where it has to be.
std::string csv_cell(const std::string& text);
/// A number with all its digits; empty where there is none.
std::string csv_number(std::optional<double> value);
/// Cells, quoted where they have to be, as one line.
std::string csv_line(const std::vector<std::string>& cells);
/// Text for LaTeX: its special characters and the signs we print escaped.
std::string latex_text(const std::string& text);

}  // namespace skipattn::experiments
