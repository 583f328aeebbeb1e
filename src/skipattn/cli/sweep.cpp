// skipattn sweep: grids over any keys, on top of what compare does with runs.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/cli/dry_run.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/compare.h"
#include "skipattn/experiments/paper/paper.h"
#include "skipattn/experiments/report/report.h"
#include "skipattn/experiments/sweep/results.h"
#include "skipattn/experiments/sweep/sweep.h"
#include "skipattn/experiments/sweep/table.h"
#include "skipattn/io/atomic_file.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct SweepOptions : CommonOptions {
  experiments::SweepArguments sweep;
  DryRunOptions dry_run;
  std::string config;
  std::string out;
  std::string shard;
  bool collect = false;
};

/// report.html, or reports/NAME.html where the sweep has several references.
std::vector<std::string> write_reports(const experiments::SweepResults& results, const fs::path& out) {
  std::vector<std::string> files;
  std::vector<experiments::ReportData> reports = experiments::sweep_reports(results);
  for (experiments::ReportData& data : reports) {
    data.command = command_line();
    fs::path file = out / "report.html";
    if (reports.size() > 1) {
      fs::create_directories(out / "reports");
      file = out / "reports" / (experiments::folder_name(experiments::baseline_of(data).name) + ".html");
    }
    io::write_file_atomically(file, experiments::render_report(data));
    files.push_back(file.string());
  }
  return files;
}

/// "out/results.csv, …, out/figures (4, each as svg, pdf and csv)".
std::string paper_files_text(const fs::path& out, const std::vector<std::string>& files) {
  std::vector<std::string> shown;
  size_t figures = 0;
  for (const std::string& file : files) {
    if (fs::path(file).parent_path() == out)
      shown.push_back(file);
    else
      figures += fs::path(file).extension() == ".csv" ? 1 : 0;
  }
  if (figures > 0)
    shown.push_back(fmt::format("{} ({}, each as svg, pdf and csv)", (out / "figures").string(), figures));
  return join(shown, ", ");
}

void print_results(const SweepOptions& options, const experiments::SweepResults& results) {
  const std::vector<std::string> files = experiments::write_paper_files(results, options.out);
  const std::vector<std::string> reports = write_reports(results, options.out);
  std::string text = experiments::sweep_table(results, wants_color()) + "\n";
  text += "for papers: " + paper_files_text(options.out, files) + "\n";
  if (!reports.empty()) text += "report: " + join(reports, ", ") + "\n";
  print_result(options,
               {{"runs", experiments::sweep_json(results)},
                {"comparisons", results.comparisons.size()},
                {"files", files},
                {"reports", reports}},
               text);
}

void run_sweep(SweepOptions options) {
  options.sweep.config = options.config;
  if (options.seed) options.sweep.overrides.push_back(fmt::format("training.seed={}", *options.seed));
  experiments::SweepSettings settings = experiments::read_sweep_settings(options.sweep);
  options.apply_to(settings.base);
  const experiments::Sweep sweep = experiments::plan_sweep(settings);
  const experiments::Shard shard =
      options.shard.empty() ? experiments::Shard{} : experiments::parse_shard(options.shard);
  if (options.dry_run.asked)
    return print_dry_run(options, options.dry_run, {sweep.experiment, options.out, shard, sweep.comparisons()});
  if (!options.collect) experiments::do_runs(sweep.experiment, options.out, shard, progress_view(options));
  if (!fs::is_directory(options.out)) throw InputError("[sweep] --out '{}': there is nothing to collect", options.out);
  print_results(options, experiments::collect_sweep(sweep, options.out, options.cache_dtype));
}

}  // namespace

void add_sweep_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<SweepOptions>();
  CLI::App* command =
      add_command(app, chosen, "sweep", "Train a grid over any keys and compare every cell with its baseline",
                  "  skipattn sweep --config sweep.toml --out results/ --dry-run\n"
                  "  skipattn sweep --config sweep.toml --out results/ --grid model.routing=sla,skipv1 --seeds 3\n"
                  "  skipattn sweep --config sweep.toml --out results/ --grid training.learning_rate=3e-4,1e-3 "
                  "--best training.learning_rate\n"
                  "  skipattn sweep --config sweep.toml --out results/ --shard 2/8     (a job array; then --collect)",
                  *options, [options] { run_sweep(*options); });
  command->add_option("--config", options->config, "the TOML file, with a section [sweep]")->required();
  command
      ->add_option("--out", options->out, "folder for runs, tables and figures; the same one goes on where it stopped")
      ->required();
  const auto repeated = [&](const char* name, std::vector<std::string>& list, const char* meaning) {
    command->add_option(name, list, meaning)->allow_extra_args(false);
  };
  repeated("--grid", options->sweep.grid, "KEY=VALUE,VALUE,…: a list beside the file's, or in place of one of them");
  repeated("--best", options->sweep.best, "a swept key of which the best value is taken, for every run its own");
  repeated("--control", options->sweep.controls, "parameters, flops or kv_bytes: plain models that spend as much");
  repeated("--against", options->sweep.against,
           "KEY=VALUE: what runs are compared with; default: the baseline routing");
  repeated("--set", options->sweep.overrides, "override any key for all runs; may be repeated");
  command->add_option("--seeds", options->sweep.seeds, "how many seeds, from training.seed on; can be raised later")
      ->check(kOneOrMore);
  command->add_option("--shard", options->shard, "I/N: do only the I-th of N parts of the runs");
  command->add_flag("--collect", options->collect, "only read what finished runs left, and write tables and figures");
  add_dry_run_options(*command, options->dry_run);
}

}  // namespace skipattn::cli
