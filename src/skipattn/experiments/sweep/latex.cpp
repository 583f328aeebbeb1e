// A sweep as a LaTeX table.
#include <fmt/format.h>

#include <algorithm>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/text.h"
#include "skipattn/experiments/sweep/table.h"

namespace skipattn::experiments {

namespace {

/// "$-0.0031$": numbers in math, so that the minus is one.
std::string math(const std::string& number) {
  std::string out;
  for (size_t i = 0; i < number.size();) {
    if (number.compare(i, 3, "−") == 0) {
      out += '-';
      i += 3;
    } else if (number.compare(i, 3, "…") == 0) {
      out += "\\,\\ldots\\,";
      i += 3;
    } else {
      out += number[i++];
    }
  }
  return "$" + out + "$";
}

std::string loss_text(const Summary& loss) {
  if (!loss.mean) return "--";
  return loss.sd ? fmt::format("${:.4f} \\pm {:.4f}$", *loss.mean, *loss.sd) : fmt::format("${:.4f}$", *loss.mean);
}

std::string p_text(std::optional<double> p) {
  return p ? math(p_value_text(p)) : "--";
}

std::vector<std::string> row(const SweepResults& results, const SweepLine& line) {
  std::string name = latex_text(line.name);
  if (line.role == Role::kControl) name = fmt::format("\\quad at {}: {}", budget_words(*line.comparison->budget), name);
  if (!line.chosen.empty()) name += fmt::format(" [{}]", latex_text(line.chosen));
  std::vector<std::string> cells = {name};
  if (!results.choices[line.group].cell) {
    cells.resize(7, "--");
    return cells;
  }
  const ReportVariant& v = results.chosen(line.group);
  cells.push_back(v.parameters ? short_count(*v.parameters) : "--");
  cells.push_back(v.kv_cache_bytes_per_token ? grouped(*v.kv_cache_bytes_per_token) : "--");
  cells.push_back(loss_text(v.loss));
  if (!line.comparison) {
    cells.insert(cells.end(), {"--", "--", std::to_string(v.loss.count)});
    return cells;
  }
  const PairedComparison& c = line.comparison->paired;
  const int decimals = difference_decimals(c);
  std::string difference = c.delta ? math(signed_text(*c.delta, decimals)) : "--";
  if (c.ci95) difference += fmt::format(" [{}]", math(interval_text(*c.ci95, decimals)));
  cells.insert(cells.end(), {difference, p_text(line.comparison->p_value_holm), std::to_string(c.pairs())});
  return cells;
}

}  // namespace

std::string latex_text(const std::string& text) {
  static const std::vector<std::pair<std::string, std::string>> kSigns = {{"\\", "\\textbackslash{}"},
                                                                          {"{", "\\{"},
                                                                          {"}", "\\}"},
                                                                          {"&", "\\&"},
                                                                          {"%", "\\%"},
                                                                          {"$", "\\$"},
                                                                          {"#", "\\#"},
                                                                          {"_", "\\_"},
                                                                          {"~", "\\textasciitilde{}"},
                                                                          {"^", "\\textasciicircum{}"},
                                                                          {"<", "\\textless{}"},
                                                                          {">", "\\textgreater{}"},
                                                                          {"|", "\\textbar{}"},
                                                                          {"−", "$-$"},
                                                                          {"×", "$\\times$"},
                                                                          {"…", "\\ldots{}"},
                                                                          {"–", "--"}};
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto found = std::ranges::find_if(
        kSigns, [&](const auto& sign) { return text.compare(i, sign.first.size(), sign.first) == 0; });
    out += found == kSigns.end() ? std::string(1, text[i]) : found->second;
    i += found == kSigns.end() ? 1 : found->first.size();
  }
  return out;
}

std::string latex_table(const SweepResults& results) {
  std::string out =
      "% Made by skipattn sweep. Needs \\usepackage{booktabs}. Losses: nats per token, mean and sd over seeds.\n"
      "% Difference: mean over seeds of the paired difference, 95 % t interval; p: Holm's correction over all lines.\n"
      "% Lines \"at equal ...\": figures of a plain model; the difference is the variant above minus it.\n";
  if (const std::string best = best_sentence(results.sweep); !best.empty()) out += "% " + best + "\n";
  out +=
      "\\begin{tabular}{lrrrrrr}\n\\toprule\n"
      "Run & Parameters & KV bytes/token & Validation loss & Difference [95\\,\\%] & $p$ (Holm) & Seeds \\\\\n";
  for (const SweepLine& line : sweep_lines(results)) {
    if (line.role == Role::kReference) out += "\\midrule\n";
    out += join(row(results, line), " & ") + " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}\n";
}

}  // namespace skipattn::experiments
