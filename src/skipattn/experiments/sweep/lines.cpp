// Lines of a sweep's tables, and the one for the terminal.
#include <fmt/format.h>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/text.h"
#include "skipattn/experiments/sweep/names.h"
#include "skipattn/experiments/sweep/table.h"
#include "skipattn/experiments/terminal_table.h"

namespace skipattn::experiments {

namespace {

std::string chosen_values(const SweepResults& results, size_t group) {
  if (!results.choices[group].cell) return "";
  std::vector<std::string> texts;
  for (const std::string& key : results.sweep.best)
    if (const auto* value = find_setting(results.sweep.cells[*results.choices[group].cell].settings, key))
      texts.push_back(fmt::format("{}={}", key.substr(key.rfind('.') + 1), setting_text(*value)));
  return join(texts, ", ");
}

SweepLine line_of(const SweepResults& results, size_t group, const SweepComparison* comparison) {
  const SweepGroup& shown = results.sweep.groups[group];
  return {shown.role, shown.name, chosen_values(results, group), group, comparison};
}

std::string coloured(Verdict verdict, bool colour) {
  const std::string name(verdict_name(verdict));
  if (!colour) return name;
  return fmt::format("\x1b[{}m{}\x1b[0m",
                     verdict == Verdict::kBetter  ? 32
                     : verdict == Verdict::kWorse ? 31
                                                  : 33,
                     name);
}

std::string or_dash(std::optional<double> value, std::string (*format)(double)) {
  return value ? format(*value) : "–";
}

std::vector<std::string> terminal_row(const SweepResults& results, const SweepLine& line, bool colour) {
  std::string name = line.name;
  if (line.role == Role::kControl) name = fmt::format("  at {}: {}", budget_words(*line.comparison->budget), line.name);
  if (!line.chosen.empty()) name += fmt::format(" [{}]", line.chosen);
  std::vector<std::string> row = {name, line.comparison ? coloured(line.comparison->verdict, colour) : "reference"};
  if (!results.choices[line.group].cell) {
    row.resize(12, "–");
    return row;
  }
  const ReportVariant& v = results.chosen(line.group);
  const PairedComparison none;
  const PairedComparison& c = line.comparison ? line.comparison->paired : none;
  const int decimals = difference_decimals(c);
  for (const std::string& cell :
       {v.loss.mean ? number_text(v.loss.mean) : "–", v.loss.sd ? number_text(v.loss.sd) : "–",
        c.delta ? signed_text(*c.delta, decimals) : "–", c.ci95 ? interval_text(*c.ci95, decimals) : "–",
        p_value_text(line.comparison ? line.comparison->p_value_holm : std::nullopt),
        std::to_string(line.comparison ? c.pairs() : v.loss.count), or_dash(v.parameters, short_count),
        or_dash(v.kv_cache_bytes_per_token, grouped), number_text(v.predicted_flops_ratio, 3),
        or_dash(v.tokens_per_second, grouped)})
    row.push_back(cell);
  return row;
}

std::string detectable_words(const SweepComparison& comparison) {
  const PairedComparison& paired = comparison.paired;
  if (!comparison.detectable) return paired.note + ".";
  return fmt::format("with {} seeds and this spread, a true difference of {} would be found in 4 of 5 such sweeps.",
                     paired.pairs(), number_text(comparison.detectable, decimals_for(*comparison.detectable)));
}

std::string notes(const SweepResults& results) {
  std::string out;
  for (const SweepComparison& comparison : results.comparisons) {
    const auto& groups = results.sweep.groups;
    out += fmt::format("{} against {}: {}\n", groups[comparison.group].name, groups[comparison.against].name,
                       detectable_words(comparison));
  }
  if (const std::string best = best_sentence(results.sweep); !best.empty()) out += best + "\n";
  for (size_t g = 0; g < results.choices.size(); ++g)
    if (!results.choices[g].note.empty())
      out += fmt::format("{}: {}.\n", results.sweep.groups[g].name, results.choices[g].note);
  for (const CellResult& cell : results.cells)
    if (const std::string problems = problems_text(cell.figures); !problems.empty())
      out += fmt::format("{}: without a result: {}.\n", cell.figures.name, problems);
  return out;
}

}  // namespace

std::string best_sentence(const Sweep& sweep) {
  if (sweep.best.empty()) return "";
  return fmt::format(
      "Best {}: the lowest mean validation loss of each line's own values, on the same seeds that are compared.",
      join(sweep.best, ", "));
}

std::vector<SweepLine> sweep_lines(const SweepResults& results) {
  std::vector<SweepLine> lines;
  for (size_t g = 0; g < results.sweep.groups.size(); ++g) {
    const SweepGroup& group = results.sweep.groups[g];
    if (group.role == Role::kReference) lines.push_back(line_of(results, g, nullptr));
    for (const SweepComparison* comparison : results.comparisons_of(g))
      lines.push_back(line_of(results, comparison->budget ? comparison->against : g, comparison));
  }
  return lines;
}

std::string sweep_table(const SweepResults& results, bool colour) {
  const Align right = Align::kRight;
  TerminalTable table({"run",
                       "verdict",
                       {"val loss", right},
                       {"sd", right},
                       {"difference", right},
                       {"95 % interval", right},
                       {"p (Holm)", right},
                       {"seeds", right},
                       {"parameters", right},
                       {"KV B/token", right},
                       {"FLOPs ×", right},
                       {"tokens/s", right}});
  for (const SweepLine& line : sweep_lines(results)) table.add_row(terminal_row(results, line, colour));
  return table.text() + notes(results);
}

}  // namespace skipattn::experiments
