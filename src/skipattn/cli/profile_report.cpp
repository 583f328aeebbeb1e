#include "skipattn/cli/profile_report.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "skipattn/cli/command.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/statistics.h"
#include "skipattn/experiments/terminal_table.h"

namespace skipattn::cli {

namespace {

using analysis::Mode;
using analysis::Profile;
using experiments::Align;
using nlohmann::ordered_json;

/// How the times of two routings relate: geometric mean of the pairs' ratios and its 95 % interval.
struct Ratio {
  double value = 0;
  std::optional<experiments::Interval> ci95;
};

Ratio time_ratio(const analysis::StepPairs& pairs) {
  experiments::SeedValues first, second;  // the pair takes the place of the seed
  for (size_t i = 0; i < pairs.first.size(); ++i) {
    first[i] = std::log(pairs.first[i]);
    second[i] = std::log(pairs.second[i]);
  }
  const experiments::PairedComparison paired = experiments::compare_paired(first, second);
  Ratio ratio;
  ratio.value = std::exp(paired.delta.value_or(std::nan("")));
  if (paired.ci95) ratio.ci95 = {std::exp(paired.ci95->low), std::exp(paired.ci95->high)};
  return ratio;
}

ordered_json spread_json(const analysis::Spread& seconds) {
  return {{"min", 1e3 * seconds.min}, {"median", 1e3 * seconds.median}, {"max", 1e3 * seconds.max}};
}

ordered_json operations_json(const Profile& profile) {
  ordered_json list = ordered_json::array();
  for (const analysis::Operation& operation : profile.operations)
    list.push_back({{"name", operation.name}, {"ms", 1e3 * operation.seconds}, {"share", operation.share}});
  return list;
}

ordered_json comparison_json(const RoutingComparison& comparison) {
  const Ratio ratio = time_ratio(comparison.pairs);
  return {{"routing", comparison.routing},
          {"pairs", comparison.pairs.first.size()},
          {"step_ms", spread_json(analysis::spread_of(comparison.pairs.first))},
          {"compared_step_ms", spread_json(analysis::spread_of(comparison.pairs.second))},
          {"step_ratio", finite_or_null(ratio.value)},
          {"step_ratio_ci95", ratio.ci95 ? ordered_json{ratio.ci95->low, ratio.ci95->high} : ordered_json()},
          {"predicted_flops_ratio", comparison.predicted_flops_ratio},
          {"peak_memory_bytes", comparison.peak_memory_bytes},
          {"compared_peak_memory_bytes", comparison.compared_peak_memory_bytes}};
}

std::string mode_name(Mode mode) {
  return mode == Mode::kTrain ? "train" : mode == Mode::kPrefill ? "prefill" : "decode";
}

std::string what_is_done(const analysis::WorkloadOptions& work) {
  const std::string sequences =
      fmt::format("{} sequence{} of {} tokens", work.batch, work.batch == 1 ? "" : "s", work.context);
  switch (work.mode) {
    case Mode::kTrain:
      return fmt::format("a training step on {}{}", sequences, work.recompute ? ", layers recomputed" : "");
    case Mode::kPrefill:
      return "reading " + sequences;
    case Mode::kDecode:
      return "decoding the last token of " + sequences;
  }
  return "";
}

std::string gflops(double flops_per_second) {
  return fmt::format("{:.1f} GFLOP/s", flops_per_second / 1e9);
}

std::string figures_text(const ProfileReport& report) {
  const Profile& profile = report.profile;
  const analysis::StepFlops& flops = profile.facts.flops;
  const analysis::LinearShape& shape = profile.gemm_shape;
  experiments::TerminalTable table({"figure", "value", "note"});
  const auto row = [&](const char* name, const std::string& value, const std::string& note) {
    table.add_row({name, value, note});
  };
  row("step", short_seconds(profile.step.median),
      fmt::format("{} … {}", short_seconds(profile.step.min), short_seconds(profile.step.max)));
  row("speed", short_count(profile.tokens_per_second()) + " tokens/s", "");
  row("FLOPs of a step", short_count(flops.total()),
      fmt::format("matrix products {}, attention {}, vocabulary head {}", short_count(flops.matrix_products),
                  short_count(flops.attention), short_count(flops.vocabulary_head)));
  row("reached", gflops(profile.achieved_flops()), fmt::format("{:.3f} of the products' rate", profile.utilisation()));
  row("products' rate", gflops(profile.gemm_peak),
      fmt::format("[{}, {}] x [{}, {}], measured between the steps", shape.rows, shape.inputs, shape.inputs,
                  shape.outputs));
  if (profile.memory_bandwidth > 0)
    row("memory's rate", fmt::format("{:.1f} GB/s", profile.memory_bandwidth / 1e9),
        fmt::format("STREAM triad; a step reads {}", short_bytes(profile.facts.bytes_read)));
  row("roofline", short_seconds(profile.roofline_seconds()),
      fmt::format("{:.3f} of it reached", profile.roofline_share()));
  row("peak memory", short_bytes(static_cast<double>(profile.peak_memory_bytes)), "");
  if (report.workload.mode != Mode::kTrain)
    row("KV cache", short_bytes(static_cast<double>(profile.facts.kv_cache_bytes)),
        short_bytes(static_cast<double>(profile.facts.kv_cache_allocated_bytes)) + " allocated");
  if (profile.page_faults_per_step) row("page faults", fmt::format("{:.0f} a step", *profile.page_faults_per_step), "");
  return table.text();
}

std::string operations_text(const Profile& profile) {
  experiments::TerminalTable table({"operation", {"ms", Align::kRight}, {"share", Align::kRight}});
  for (const analysis::Operation& operation : profile.operations)
    table.add_row({operation.name, fmt::format("{:.2f}", 1e3 * operation.seconds),
                   fmt::format("{:.1f} %", 100 * operation.share)});
  return table.text();
}

std::string comparison_text(const ProfileReport& report) {
  const RoutingComparison& comparison = *report.comparison;
  const Ratio ratio = time_ratio(comparison.pairs);
  experiments::TerminalTable table({"routing", {"step", Align::kRight}, {"peak memory", Align::kRight}});
  const auto row = [&](const std::string& routing, const std::vector<double>& seconds, int64_t memory) {
    table.add_row(
        {routing, short_seconds(analysis::spread_of(seconds).median), short_bytes(static_cast<double>(memory))});
  };
  row(report.routing, comparison.pairs.first, comparison.peak_memory_bytes);
  row(comparison.routing, comparison.pairs.second, comparison.compared_peak_memory_bytes);
  std::string text = table.text() + fmt::format("ratio of the times {:.4f}", ratio.value);
  if (ratio.ci95) text += fmt::format(", 95 % interval {:.4f} … {:.4f}", ratio.ci95->low, ratio.ci95->high);
  return text + fmt::format(" ({} pairs of steps); the FLOPs predict {:.4f}\n", comparison.pairs.first.size(),
                            comparison.predicted_flops_ratio);
}

}  // namespace

ordered_json to_json(const ProfileReport& report) {
  const Profile& profile = report.profile;
  const analysis::StepFlops& flops = profile.facts.flops;
  const bool has_cache = report.workload.mode != Mode::kTrain;
  const auto of_cache = [&](int64_t bytes) { return has_cache ? ordered_json(bytes) : ordered_json(); };
  ordered_json json = {
      {"model", report.model},
      {"routing", report.routing},
      {"mode", mode_name(report.workload.mode)},
      {"context", report.workload.context},
      {"batch", report.workload.batch},
      {"steps", report.options.steps},
      {"warmup", report.options.warmup},
      {"step_ms", spread_json(profile.step)},
      {"tokens_per_second", profile.tokens_per_second()},
      {"flops_per_step", flops.total()},
      {"flops",
       {{"matrix_products", flops.matrix_products},
        {"attention", flops.attention},
        {"vocabulary_head", flops.vocabulary_head}}},
      {"achieved_flops", profile.achieved_flops()},
      {"gemm_peak_flops", profile.gemm_peak},
      {"gemm_shape", {profile.gemm_shape.rows, profile.gemm_shape.inputs, profile.gemm_shape.outputs}},
      {"utilisation", profile.utilisation()},
      {"bytes_per_step", profile.memory_bandwidth > 0 ? ordered_json(profile.facts.bytes_read) : ordered_json()},
      {"memory_bandwidth", profile.memory_bandwidth > 0 ? ordered_json(profile.memory_bandwidth) : ordered_json()},
      {"roofline_ms", 1e3 * profile.roofline_seconds()},
      {"roofline_share", profile.roofline_share()},
      {"peak_memory_bytes", profile.peak_memory_bytes},
      {"kv_cache_bytes", of_cache(profile.facts.kv_cache_bytes)},
      {"kv_cache_allocated_bytes", of_cache(profile.facts.kv_cache_allocated_bytes)},
      {"page_faults_per_step",
       profile.page_faults_per_step ? ordered_json(*profile.page_faults_per_step) : ordered_json()},
      {"operations", operations_json(profile)},
      {"first_loss", profile.first_loss ? finite_or_null(*profile.first_loss) : ordered_json()},
      {"machine", report.machine},
  };
  if (report.comparison) json["comparison"] = comparison_json(*report.comparison);
  return json;
}

std::string to_text(const ProfileReport& report) {
  std::string text =
      fmt::format("{}, {}\n{}; {}; {} steps after {} to warm up\n\n", report.model, report.routing,
                  what_is_done(report.workload), report.machine, report.options.steps, report.options.warmup);
  text += figures_text(report) + "\n" + operations_text(report.profile);
  if (report.comparison) text += "\n" + comparison_text(report);
  return text;
}

}  // namespace skipattn::cli
