// A sweep as CSV files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/experiments/sweep/names.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

/// Columns: the swept keys, and those that controls set.
std::vector<std::string> setting_keys(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const SweepAxis& axis : sweep.axes) keys.push_back(axis.key);
  for (const SweepCell& cell : sweep.cells)
    for (const auto& [key, value] : cell.settings)
      if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  return keys;
}

}  // namespace

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(std::optional<double> value) {
  return value && std::isfinite(*value) ? fmt::format("{}", *value) : "";
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::vector<std::string> quoted;
  for (const std::string& cell : cells) quoted.push_back(csv_cell(cell));
  return join(quoted, ",") + "\r\n";
}

std::string results_csv(const SweepResults& results) {
  const std::vector<std::string> keys = setting_keys(results.sweep);
  std::vector<std::string> header = {"name", "role"};
  header.insert(header.end(), keys.begin(), keys.end());
  for (const char* name :
       {"routing", "seed", "val_loss", "parameters", "kv_cache_bytes_per_token", "flops_per_token_forward",
        "tokens_per_second_median", "peak_memory_bytes_median", "problem"})
    header.emplace_back(name);
  std::string out = csv_line(header);
  for (size_t i = 0; i < results.cells.size(); ++i) {
    const ReportVariant& v = results.cells[i].figures;
    const SweepCell& cell = results.sweep.cells[i];
    for (const SeedRun& run : v.runs) {
      std::vector<std::string> row = {v.name, role_name(cell.role)};
      for (const std::string& key : keys) {
        const auto* value = find_setting(cell.settings, key);
        row.push_back(value ? setting_text(*value) : "");
      }
      for (const std::string& text :
           {v.routing, std::to_string(run.seed), csv_number(run.val_loss), csv_number(v.parameters),
            csv_number(v.kv_cache_bytes_per_token), csv_number(results.cells[i].flops_per_token_forward),
            csv_number(v.tokens_per_second), csv_number(v.peak_memory_bytes), run.problem})
        row.push_back(text);
      out += csv_line(row);
    }
  }
  return out;
}

std::string comparisons_csv(const SweepResults& results) {
  std::string out = csv_line({"name", "against", "equal", "verdict", "pairs", "difference", "ci95_low", "ci95_high",
                              "p_value_uncorrected", "p_value_holm", "difference_sd", "detectable_difference", "note"});
  for (const SweepComparison& comparison : results.comparisons) {
    const PairedComparison& c = comparison.paired;
    const auto name = [&](size_t group) {
      return results.choices[group].cell ? results.chosen(group).name : results.sweep.groups[group].name;
    };
    const auto low = c.ci95 ? std::optional(c.ci95->low) : std::nullopt;
    const auto high = c.ci95 ? std::optional(c.ci95->high) : std::nullopt;
    out += csv_line({name(comparison.group), name(comparison.against),
                     comparison.budget ? budget_name(*comparison.budget) : "",
                     std::string(verdict_name(comparison.verdict)), std::to_string(c.pairs()), csv_number(c.delta),
                     csv_number(low), csv_number(high), csv_number(c.p_value), csv_number(comparison.p_value_holm),
                     csv_number(c.delta_sd), csv_number(comparison.detectable), c.note});
  }
  return out;
}

}  // namespace skipattn::experiments
