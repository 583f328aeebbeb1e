// skipattn train: one model from one TOML file.
#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "skipattn/cli/command.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/routing/routing_argument.h"
#include "skipattn/training/training_run.h"

namespace skipattn::cli {

namespace {

struct TrainOptions : CommonOptions {
  std::string config;
  std::string out;
  std::string init;
  bool resume = false;
  bool print_config = false;
  std::vector<std::string> overrides;
};

training::RunConfig resolved_config(const TrainOptions& options) {
  training::RunConfig config;
  if (!options.config.empty()) config = training::read_run_config(options.config, {"compare", "variants", "sweep"});
  for (const std::string& assignment : options.overrides) training::apply_override(config, assignment);
  config.model.routing = routing::read_routing_argument(config.model.routing);
  options.apply_to(config);
  return config;
}

void run_train(const TrainOptions& options) {
  refuse_generation_options(options, "[train] ");
  const training::RunConfig config = resolved_config(options);
  if (options.print_config) {
    std::cout << training::to_toml(config, /*comments=*/true);
    return;
  }
  if (options.config.empty())
    throw InputError("[train] --config: not given; 'skipattn train --print-config' prints one to start from");
  if (options.out.empty()) throw InputError("[train] --out: not given; name the folder for checkpoints and metrics");
  training::TrainingRun run;
  run.config = config;
  run.out = options.out;
  if (!options.init.empty()) run.init = options.init;
  run.resume = options.resume;
  run.progress = progress_view(options);
  const training::TrainingResult result = training::run_training(run);

  nlohmann::ordered_json json = {
      {"steps", result.steps},
      {"tokens", result.tokens},
      {"train_loss", finite_or_null(result.train_loss)},
      {"val_loss", result.final ? finite_or_null(result.final->total.mean()) : nlohmann::ordered_json()},
      {"tokens_per_second", result.tokens_per_second},
      {"peak_memory_bytes", result.peak_memory_bytes},
      {"skipped_steps", result.skipped_steps},
      {"parameters", result.parameters},
      {"machine", result.machine},
      {"model", options.out},
  };
  std::string text = fmt::format("{} steps, {} tokens: training loss {:.4f}", result.steps,
                                 short_count(static_cast<double>(result.tokens)), result.train_loss);
  if (result.final) text += fmt::format(", validation loss {:.4f}", result.final->total.mean());
  text += fmt::format("\n{} tokens/s, peak memory {} ({})\nmodel: {}\n", short_count(result.tokens_per_second),
                      short_bytes(static_cast<double>(result.peak_memory_bytes)), result.machine, options.out);
  print_result(options, json, text);
}

}  // namespace

void add_train_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<TrainOptions>();
  CLI::App* command = add_command(
      app, chosen, "train", "Train one model from one TOML file",
      "  skipattn train --config experiment.toml --out runs/baseline\n"
      "  skipattn train --config experiment.toml --out runs/sla --set model.routing='sla(distance=9, heads=9)'\n"
      "  skipattn train --config experiment.toml --out runs/sla --resume\n"
      "  skipattn train --print-config",
      *options, [options] { run_train(*options); });
  command->add_option("--config", options->config, "the run's TOML file");
  command->add_option("--out", options->out, "folder for checkpoints and metrics; opens as a model");
  command->add_option("--init", options->init, "model folder to start from instead of random weights");
  command->add_flag("--resume", options->resume, "go on from --out where there is something to go on from");
  command->add_option("--set", options->overrides, "override any key, for example training.steps=100; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--print-config", options->print_config, "print every key with its value and meaning, and stop");
}

}  // namespace skipattn::cli
