// collect(): from the folders of an experiment to the data of its report.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "skipattn/core/parallel.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/compare.h"
#include "skipattn/experiments/run_result.h"
#include "skipattn/routing/costs.h"
#include "skipattn/training/run_data.h"

namespace skipattn::experiments {

namespace {

namespace fs = std::filesystem;

/// Results of one variant's seeds, in the order of the seeds; unfinished runs become problems.
std::vector<RunResult> read_results(const std::vector<PlannedRun>& runs, const Variant& variant) {
  std::vector<RunResult> results;
  for (const PlannedRun& planned : runs) {
    if (planned.variant != &variant) continue;
    RunResult result;
    if (auto found = read_run_result(planned.folder)) {
      result = std::move(*found);
    } else {
      result.run.seed = planned.seed;
      result.run.problem = "not run to its end yet";
    }
    results.push_back(std::move(result));
  }
  return results;
}

/// Median over the runs that have the figure; absent when none has.
std::optional<double> median_of(const std::vector<RunResult>& results, double RunResult::*figure) {
  std::vector<double> values;
  for (const RunResult& result : results)
    if (result.*figure > 0) values.push_back(result.*figure);
  if (values.empty()) return std::nullopt;
  return median(values);
}

VariantFigures describe(const Experiment& experiment, const Variant& variant, const std::vector<PlannedRun>& runs,
                        const std::string& cache_dtype) {
  training::RunConfig config = run_config(experiment, variant, experiment.seeds.front());
  training::finish_run_config(config);
  training::open_data(config);
  const routing::Routing routing = routing::parse_routing(config.model.routing, config.model.routing_shape());
  const routing::Costs costs =
      routing::count_costs(routing::make_plan(routing), config.model.dimensions(), config.data.context, cache_dtype);
  const std::vector<RunResult> results = read_results(runs, variant);

  VariantFigures figures;
  figures.flops_per_token_forward = costs.flops_per_token_forward;
  figures.flops_per_token_training = costs.flops_per_token_training;
  ReportVariant& row = figures.row;
  row.name = variant.name;
  row.routing = routing.text;
  for (const RunResult& result : results) row.runs.push_back(result.run);
  row.parameters = static_cast<double>(costs.parameters);
  row.kv_cache_bytes_per_token = costs.kv_cache_bytes_per_token;
  row.tokens_per_second = median_of(results, &RunResult::tokens_per_second);
  row.peak_memory_bytes = median_of(results, &RunResult::peak_memory_bytes);
  row.routes = routing.routes;
  row.windows = routing.windows;
  return figures;
}

}  // namespace

std::vector<std::string> model_lines(const Experiment& experiment, const Variant& variant) {
  training::RunConfig config = run_config(experiment, variant, experiment.seeds.front());
  training::finish_run_config(config);
  const training::RunData data = training::open_data(config);
  const model::ModelConfig& model = config.model;
  std::vector<std::string> lines;
  lines.push_back(fmt::format("model: {} layers, {} heads × {}, width {}, vocabulary {}", model.layers, model.heads,
                              model.head_width, model.width, model.vocabulary));
  lines.push_back(fmt::format(
      "training: context {} tokens, {} sequences a step, {} steps, {} tokens a run", config.data.context,
      config.training.batch_size, config.training.steps,
      short_count(static_cast<double>(config.data.context * config.training.batch_size * config.training.steps))));
  lines.push_back(fmt::format("data: trained on {} ({} tokens)", data.train_files->description(),
                              short_count(static_cast<double>(data.train_files->tokens()))));
  if (data.val_files)
    lines.push_back(fmt::format("validation: {} tokens of {}",
                                short_count(static_cast<double>(data.val_windows * config.data.context)),
                                data.val_files->description()));
  lines.push_back(fmt::format("optimizer: learning rate {}, {} schedule, weight decay {}, document mask {}",
                              config.training.learning_rate, config.training.schedule, config.training.weight_decay,
                              config.data.document_mask ? "on" : "off"));
  return lines;
}

std::vector<std::string> machine_lines(const std::vector<PlannedRun>& runs) {
  std::map<std::string, int> machines;
  for (const PlannedRun& planned : runs)
    if (const auto result = read_run_result(planned.folder); result && !result->machine.empty())
      ++machines[result->machine];
  std::vector<std::string> lines;
  for (const auto& [machine, count] : machines) lines.push_back(fmt::format("machine: {} ({} runs)", machine, count));
  lines.push_back(fmt::format("collected on: {} processors, skipattn {}", available_processors(), SKIPATTN_VERSION));
  return lines;
}

std::string time_now() {
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::time(nullptr)));
}

std::vector<VariantFigures> collect_variants(const Experiment& experiment, const std::vector<PlannedRun>& runs,
                                             const std::string& cache_dtype) {
  std::vector<VariantFigures> all;
  for (const Variant& variant : experiment.variants) all.push_back(describe(experiment, variant, runs, cache_dtype));
  return all;
}

ReportData collect(const Experiment& experiment, const fs::path& out, const std::string& cache_dtype) {
  check_finished_runs(experiment, out);
  const std::vector<PlannedRun> runs = plan_runs(experiment, out);
  ReportData data;
  data.title = "Skip-layer attention: comparison";
  data.created = time_now();
  data.model_lines = model_lines(experiment, experiment.variants.front());
  data.machine_lines = machine_lines(runs);
  const std::vector<VariantFigures> figures = collect_variants(experiment, runs, cache_dtype);
  for (const VariantFigures& variant : figures) {
    data.variants.push_back(variant.row);
    data.variants.back().predicted_flops_ratio =
        variant.flops_per_token_forward / figures.front().flops_per_token_forward;
  }
  data.variants.front().is_baseline = true;
  fill_statistics(data);
  return data;
}

}  // namespace skipattn::experiments
