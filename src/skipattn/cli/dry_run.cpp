#include "skipattn/cli/dry_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "skipattn/core/text.h"
#include "skipattn/experiments/estimate.h"

namespace skipattn::cli {

namespace {

using experiments::PlannedRun;

std::string run_line(const PlannedRun& run, const experiments::RunEstimate& estimate) {
  std::string state;
  if (run.finished)
    state = ", finished";
  else if (run.tokens_done > 0)
    state = fmt::format(", {:.0f} % done", 100 * run.tokens_done / run.tokens);
  return fmt::format("  {} seed {}: {} tokens, {} parameters, {}{}\n", run.variant->name, run.seed,
                     short_count(run.tokens), short_count(run.parameters), short_seconds(estimate.seconds), state);
}

/// Overrides as the runs get them.
nlohmann::ordered_json overrides_json(const PlannedRun& run) {
  nlohmann::ordered_json overrides = nlohmann::ordered_json::object();
  for (const auto& [key, value] : run.variant->overrides) overrides[key] = value;
  return overrides;
}

nlohmann::ordered_json run_json(const PlannedRun& run, const experiments::RunEstimate& estimate) {
  return {{"variant", run.variant->name},     {"overrides", overrides_json(run)}, {"seed", run.seed},
          {"directory", run.folder.string()}, {"finished", run.finished},         {"tokens", run.tokens},
          {"tokens_done", run.tokens_done},   {"parameters", run.parameters},     {"hours", estimate.seconds / 3600},
          {"disk_bytes", estimate.disk_bytes}};
}

std::vector<PlannedRun> runs_of_shard(const DryRun& dry_run) {
  std::vector<PlannedRun> runs;
  const std::vector<PlannedRun> all = experiments::plan_runs(dry_run.experiment, dry_run.out);
  for (size_t i = 0; i < all.size(); ++i)
    if (experiments::is_in_shard(dry_run.experiment, i, dry_run.shard)) runs.push_back(all[i]);
  return runs;
}

experiments::Speed speed_of(const CommonOptions& common, const DryRunOptions& options,
                            const std::vector<PlannedRun>& runs, bool any_left) {
  if (options.tokens_per_second > 0) return experiments::given_speed(options.tokens_per_second);
  if (!any_left) return {1, 0, std::nullopt, "nothing is left to train"};
  return experiments::measure_speed(runs, progress_view(common));
}

/// What such an experiment could tell, by the number of seeds.
void add_detectable(double sd, const DryRun& dry_run, nlohmann::ordered_json& json, std::string& text) {
  const auto seeds = static_cast<int>(dry_run.experiment.seeds.size());
  std::vector<std::string> words;
  json["detectable"] = nlohmann::ordered_json::array();
  for (const auto& [count, difference] : experiments::detectable_by_seeds(sd, dry_run.comparisons, seeds)) {
    json["detectable"].push_back({{"seeds", count}, {"difference", difference}});
    words.push_back(fmt::format("{:.2g} with {}{}", difference, count, count == seeds ? " (as asked)" : ""));
  }
  text += fmt::format(
      "were the sd of paired differences {:g}, a true difference of this size would be found in 4 of 5 such "
      "experiments, "
      "by number of seeds: {} ({} comparison{})\n",
      sd, join(words, ", "), dry_run.comparisons, dry_run.comparisons == 1 ? "" : "s, level 0.05 over their number");
}

}  // namespace

void add_dry_run_options(CLI::App& command, DryRunOptions& options) {
  CLI::Option* flag = command.add_flag("--dry-run", options.asked,
                                       "print the runs, and the tokens, hours, memory and disk they need, and stop");
  command
      .add_option("--tokens-per-second", options.tokens_per_second,
                  "for --dry-run: speed of training, instead of timing a few steps")
      ->check(CLI::PositiveNumber)
      ->needs(flag);
  command
      .add_option(
          "--difference-sd", options.difference_sd,
          "for --dry-run: spread of paired differences between seeds (a pilot's difference_sd, nats per token); "
          "says what could be detected")
      ->check(CLI::PositiveNumber)
      ->needs(flag);
}

void print_dry_run(const CommonOptions& common, const DryRunOptions& options, const DryRun& dry_run) {
  const std::vector<PlannedRun> runs = runs_of_shard(dry_run);
  const bool any_left = std::ranges::any_of(runs, [](const PlannedRun& run) { return !run.finished; });
  const experiments::Speed speed = speed_of(common, options, runs, any_left);
  const experiments::Estimate sum = experiments::estimate(runs, speed);
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  std::string text = fmt::format(
      "{} runs, {} tokens to train on, about {} one after the other ({})\n"
      "memory of the largest run: about {}; disk: about {}\n",
      runs.size(), short_count(sum.tokens), short_seconds(sum.seconds), speed.basis, short_bytes(sum.memory_bytes),
      short_bytes(sum.disk_bytes));
  for (const PlannedRun& run : runs) {
    const experiments::RunEstimate one = experiments::estimate_run(run, speed);
    list.push_back(run_json(run, one));
    text += run_line(run, one);
  }
  nlohmann::ordered_json json = {
      {"runs", list},
      {"tokens", sum.tokens},
      {"hours", sum.seconds / 3600},
      {"tokens_per_second", any_left ? nlohmann::ordered_json(speed.tokens_per_second) : nullptr},
      {"speed", speed.basis},
      {"memory_bytes", sum.memory_bytes},
      {"disk_bytes", sum.disk_bytes},
      {"comparisons", dry_run.comparisons}};
  if (options.difference_sd > 0) add_detectable(options.difference_sd, dry_run, json, text);
  print_result(common, json, text);
}

}  // namespace skipattn::cli
