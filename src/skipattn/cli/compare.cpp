// skipattn compare: the main job. Variants × seeds, then the table and the report.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/cli/dry_run.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/compare.h"
#include "skipattn/experiments/report/json.h"
#include "skipattn/experiments/report/report.h"
#include "skipattn/experiments/terminal_table.h"
#include "skipattn/io/atomic_file.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct CompareOptions : CommonOptions {
  experiments::ExperimentArguments experiment;
  std::string config;
  std::string out;
  std::string shard;
  bool collect = false;
  DryRunOptions dry_run;
};

void run_compare(CompareOptions options) {
  options.experiment.config = options.config;
  if (options.seed) options.experiment.overrides.push_back(fmt::format("training.seed={}", *options.seed));
  experiments::Experiment experiment = experiments::read_experiment(options.experiment);
  options.apply_to(experiment.base);
  const experiments::Shard shard =
      options.shard.empty() ? experiments::Shard{} : experiments::parse_shard(options.shard);
  if (options.dry_run.asked) return print_dry_run(options, options.dry_run, {experiment, options.out, shard});
  if (!options.collect) experiments::do_runs(experiment, options.out, shard, progress_view(options));

  experiments::ReportData data = experiments::collect(experiment, options.out, options.cache_dtype);
  data.command = command_line();
  const fs::path report = fs::path(options.out) / "report.html";
  if (!fs::is_directory(options.out))
    throw InputError("[compare] --out '{}': there is nothing to collect", options.out);
  io::write_file_atomically(report, experiments::render_report(data));
  nlohmann::ordered_json variants = nlohmann::ordered_json::array();
  for (const experiments::ReportVariant& variant : data.variants)
    variants.push_back(nlohmann::ordered_json(experiments::variant_json(variant)));
  print_result(options, {{"variants", variants}, {"report", report.string()}},
               experiments::comparison_table(data, wants_color()) + "\nreport: " + report.string() + "\n");
}

}  // namespace

void add_compare_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<CompareOptions>();
  CLI::App* command =
      add_command(app, chosen, "compare", "Train variants under several seeds and compare them",
                  "  skipattn compare --config experiment.toml --out results/ --seeds 3\n"
                  "  skipattn compare --config experiment.toml --out results/ --variant sla --variant 'sla(keys=own)'\n"
                  "  skipattn compare --config experiment.toml --out results/ --variant "
                  "'hot:model.routing=sla,training.learning_rate=2e-3'\n"
                  "  skipattn compare --config experiment.toml --out results/ --shard 2/3     (then --collect)",
                  *options, [options] { run_compare(*options); });
  command->add_option("--config", options->config, "the experiment's TOML file")->required();
  command->add_option("--out", options->out, "folder for runs, table and report; the same one goes on where it stopped")
      ->required();
  command
      ->add_option("--variant", options->experiment.variants,
                   "NAME[:KEY=VALUE,…]; may be repeated; default: the file's")
      ->allow_extra_args(false);
  command->add_option("--seeds", options->experiment.seeds, "how many seeds, from training.seed on")->check(kOneOrMore);
  command->add_option("--set", options->experiment.overrides, "override any key for all variants; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--shard", options->shard, "I/N: do only the I-th of N parts of the runs");
  command->add_flag("--collect", options->collect,
                    "only read what finished runs left, and write the table and the report");
  add_dry_run_options(*command, options->dry_run);
}

}  // namespace skipattn::cli
