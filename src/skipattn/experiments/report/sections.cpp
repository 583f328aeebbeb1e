#include "skipattn/experiments/report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "skipattn/core/text.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/json.h"
#include "skipattn/experiments/report/svg_axis.h"
#include "skipattn/experiments/report/svg_forest.h"
#include "skipattn/experiments/report/svg_heat_map.h"
#include "skipattn/experiments/report/text.h"

namespace skipattn::experiments::sections {

namespace {

using html::escape;

std::string pill(Verdict verdict) {
  const char* look = verdict == Verdict::kBetter ? "better" : verdict == Verdict::kWorse ? "worse" : "unsure";
  return fmt::format("<span class=\"pill {}\">{}</span>", look, verdict_name(verdict));
}

std::string with_small(const std::string& main, const std::string& small) {
  return small.empty() ? main : fmt::format("{}<small>{}</small>", main, small);
}

/// A figure that may be missing, and its change against the baseline's below it.
template <typename Format>
std::string figure_cell(std::optional<double> value, std::optional<double> baseline, const Format& format) {
  if (!value) return kNotMeasured;
  const bool differs = baseline && *baseline != *value;
  return with_small(format(*value), differs ? change_text(value, baseline) : "");
}

std::string loss_cell(const Summary& loss) {
  if (!loss.mean) return kNotMeasured;
  return with_small(number_text(loss.mean), loss.sd ? "sd " + number_text(loss.sd) : "");
}

bool corrected(const ReportData& data) {
  const auto with_p = [](const ReportVariant& v) { return v.p_value_holm.has_value(); };
  return std::count_if(data.variants.begin(), data.variants.end(), with_p) > 1;
}

std::vector<std::string> number_row(const ReportVariant& v, const ReportVariant& baseline, bool holm) {
  const PairedComparison& c = v.comparison;
  const int decimals = difference_decimals(c);
  const bool self = v.is_baseline;
  std::vector<std::string> row = {fmt::format("{}<span class=\"routing\">{}</span>", escape(v.name), escape(v.routing)),
                                  self ? "reference" : pill(c.verdict),
                                  loss_cell(self || c.pairs() == 0 ? v.loss : c.variant),
                                  self      ? "–"
                                  : c.delta ? signed_text(*c.delta, decimals)
                                            : kNotMeasured,
                                  c.ci95 ? interval_text(*c.ci95, decimals) : "–",
                                  p_value_text(c.p_value)};
  if (holm) row.push_back(p_value_text(v.p_value_holm));
  row.push_back(std::to_string(self ? v.loss.count : c.pairs()));
  row.push_back(figure_cell(v.parameters, baseline.parameters, grouped));
  row.push_back(figure_cell(v.kv_cache_bytes_per_token, baseline.kv_cache_bytes_per_token, grouped));
  row.push_back(number_text(v.predicted_flops_ratio, 3));
  row.push_back(figure_cell(v.tokens_per_second, baseline.tokens_per_second, grouped));
  row.push_back(figure_cell(v.peak_memory_bytes, baseline.peak_memory_bytes, short_bytes));
  return row;
}

std::string number_table(const ReportData& data) {
  const bool holm = corrected(data);
  std::vector<std::string> header = {"Variant",
                                     "Verdict",
                                     "Validation loss<small>nats per token</small>",
                                     "Difference<small>paired mean</small>",
                                     "95 % interval",
                                     "p"};
  if (holm) header.push_back("p<small>Holm</small>");
  for (const char* name :
       {"Seeds", "Parameters", "KV cache<small>bytes per token</small>", "FLOPs<small>forward, × baseline</small>",
        "Tokens/s<small>training</small>", "Peak memory"}) {
    header.emplace_back(name);
  }
  html::Table table("All figures by variant", header);
  for (const ReportVariant& v : data.variants) table.add_row(number_row(v, baseline_of(data), holm));
  return table.text();
}

std::string routing_figure(const ReportVariant& variant, int number, int max_distance) {
  std::string maps;
  for (const auto side : {svg::RoutingSide::kKeys, svg::RoutingSide::kValues}) {
    const bool keys = side == svg::RoutingSide::kKeys;
    const std::string id = fmt::format("map-{}-{}", number, keys ? "keys" : "values");
    const std::string map = svg::heat_map(id, variant, side, max_distance);
    if (!map.empty()) maps += fmt::format("<div><h4>{}</h4>{}</div>", keys ? "Keys" : "Values", map);
  }
  html::Table table(escape(variant.name) + ": routes", {"Layers", "KV heads", "Keys", "Values"});
  for (const svg::RoutingLine& line : svg::routing_lines(variant)) {
    table.add_row({line.layers, line.heads, line.keys, line.values});
  }
  return html::figure({.title = variant.name,
                       .caption = variant.routing,
                       .chart = maps.empty() ? "" : fmt::format("<div class=\"maps\">{}</div>", maps),
                       .missing = "no routing table for this variant",
                       .table = maps.empty() ? "" : "<div class=\"words\">" + table.text() + "</div>"});
}

std::string fact_list(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    const size_t colon = line.find(": ");
    out += colon == std::string::npos
               ? fmt::format("<dt></dt><dd>{}</dd>", escape(line))
               : fmt::format("<dt>{}</dt><dd>{}</dd>", escape(line.substr(0, colon)), escape(line.substr(colon + 2)));
  }
  return out;
}

}  // namespace

std::vector<int> colour_order(const ReportData& data) {
  std::vector<int> order;
  int next = 0;
  for (const ReportVariant& variant : data.variants) {
    order.push_back(variant.is_baseline ? 0 : ++next);
  }
  return order;
}

std::string verdicts(const ReportData& data) {
  const std::vector<int> colours = colour_order(data);
  std::string out = "<ul class=\"verdicts\">\n";
  for (size_t i = 0; i < data.variants.size(); ++i) {
    const ReportVariant& variant = data.variants[i];
    const std::string problems = problems_text(variant);
    if (variant.is_baseline && problems.empty()) continue;
    out += fmt::format("<li class=\"{}\">", svg::colour_class(colours[i]));
    if (variant.is_baseline) {
      out += fmt::format("<p class=\"says\">The baseline ({}) is not complete</p>", escape(variant.name));
    } else {
      out += fmt::format("<p class=\"says\">{}</p><p class=\"soft\">{}</p>", escape(verdict_sentence(variant)),
                         escape(detectable_sentence(variant.comparison)));
    }
    if (!problems.empty()) {
      out += fmt::format("<p class=\"problem\">Without a result: {}.</p>", escape(problems));
    }
    out += "</li>\n";
  }
  return out + "</ul>\n";
}

std::string numbers(const ReportData& data) {
  std::string out = "<section><h2>Difference to the baseline</h2>\n";
  out += "<div class=\"grid2\">";
  out += html::figure({.title = "Validation loss, paired by seed",
                       .caption = "Big marks are means, bars 95 % intervals, open dots single seeds. Left of the "
                                  "dotted line is better.",
                       .chart = svg::forest_plot(data),
                       .missing = "no seed has a result for both a variant and the baseline"});
  out +=
      "<figure><figcaption><h3>How to read it</h3></figcaption><p>Every variant and the baseline "
      "ran with the same seeds: same batches in the same order, same initial value of every "
      "weight they share. One seed gives one difference, and the interval is drawn from these "
      "differences alone.</p><p><span class=\"pill better\">better</span> the whole interval lies "
      "below zero. <span class=\"pill worse\">worse</span> it lies above. <span class=\"pill "
      "unsure\">cannot tell</span> it holds zero, or there is none. “Cannot tell” is not “no "
      "difference”: the lines above say how large one would have had to be.</p><p>p-values are "
      "given from three seeds on.</p></figure></div>\n";
  out += fmt::format("<div class=\"card wide\">{}</div></section>\n", number_table(data));
  return out;
}

std::string routings(const ReportData& data) {
  const int max_distance = svg::largest_distance(data);
  std::string out = fmt::format(
      "<section><h2>Where keys and values come from</h2><p class=\"soft\">Rows are layers, columns "
      "KV heads; the number in a cell is the layer it reads. own layer <span "
      "class=\"scale\"></span> {} layer{} back</p>\n<div class=\"grid2\">",
      max_distance, max_distance == 1 ? "" : "s");
  int number = 0;
  for (const ReportVariant& variant : data.variants) {
    out += routing_figure(variant, number++, max_distance);
  }
  return out + "</div></section>\n";
}

std::string method(const ReportData& data) {
  std::string out = "<section><h2>What was run</h2><div class=\"card\"><dl>";
  out += fact_list(data.model_lines) + fact_list(data.machine_lines);
  if (!data.created.empty()) out += fmt::format("<dt>made</dt><dd>{}</dd>", escape(data.created));
  out += "</dl>";
  if (!data.command.empty()) out += fmt::format("<pre>{}</pre>", escape(data.command));
  out +=
      "</div>\n<div class=\"card data\"><details><summary>All data as JSON</summary><p "
      "class=\"note\">Every number of this page; training curves at most 2,000 points a run "
      "(metrics.jsonl beside each run holds every step).</p><p><button id=\"download\" "
      "type=\"button\" hidden>Download</button></p>";
  const std::string json = report_json(data).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  out += fmt::format("<pre id=\"data\">{}</pre></details></div></section>\n", escape(json));
  return out;
}

}  // namespace skipattn::experiments::sections
