#include "skipattn/cli/command.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "skipattn/core/errors.h"

namespace skipattn::cli {

void CommonOptions::apply_to(training::RunConfig& config) const {
  if (seed) config.training.seed = *seed;
  if (threads > 0) config.run.threads = threads;
  if (device != "auto") config.run.device = device;
  if (dtype != "auto") config.run.dtype = dtype;
}

training::MachineConfig inference_machine(const CommonOptions& common, const std::string& prefix) {
  training::MachineConfig config = common.machine();
  if (common.weights.empty()) return config;
  const std::string needed = common.weights == "int8" ? "bf16" : common.weights;
  if (common.dtype != "auto" && common.dtype != needed)
    throw InputError(
        "{}--weights {} with --dtype {}: with these weights the model computes in {}, so leave --dtype out", prefix,
        common.weights, common.dtype, needed);
  config.dtype = needed;
  return config;
}

void refuse_generation_options(const CommonOptions& common, const std::string& prefix) {
  FaultList faults;
  if (!common.weights.empty())
    faults.add("--weights {}: belongs to models that are read; training keeps its weights in fp32", common.weights);
  if (common.cache_dtype_option != nullptr && common.cache_dtype_option->count() > 0)
    faults.add("--cache-dtype {}: there is no KV cache here; it belongs to generate and profile", common.cache_dtype);
  faults.throw_if_any(prefix);
}

inference::Dtype weights_dtype(const CommonOptions& common, const training::Machine& machine) {
  return inference::parse_dtype("--weights",
                                common.weights.empty() ? training::dtype_name(machine.dtype) : common.weights);
}

CLI::App* add_command(CLI::App& app, Action& chosen, const std::string& name, const std::string& summary,
                      const std::string& examples, CommonOptions& common, Action run) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->footer("Examples:\n" + examples);
  const std::string group = "Common options";
  command->add_flag("--json", common.json, "print one JSON object and nothing else on standard output")->group(group);
  command->add_flag("--quiet", common.quiet, "no progress on standard error")->group(group);
  command->add_option("--seed", common.seed, "seed of everything random")->group(group);
  command->add_option("--threads", common.threads, "threads; 0: all processors")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  command->add_option("--device", common.device, "cpu, cuda or auto")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->group(group);
  command->add_option("--dtype", common.dtype, "fp32, bf16 or auto: what is native and fast here")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->group(group);
  CLI::Option* cache_dtype =
      command->add_option("--cache-dtype", common.cache_dtype, "of the KV cache: bf16, fp32 or int8");
  common.cache_dtype_option = cache_dtype;
  cache_dtype->check(CLI::IsMember({"bf16", "fp32", "int8"}))->group(group);
  command
      ->add_option("--weights", common.weights,
                   "of the weights when generating: bf16, int8 or fp32; default: as --dtype")
      ->check(CLI::IsMember({"bf16", "int8", "fp32"}))
      ->group(group);
  command->callback([&chosen, run = std::move(run)] { chosen = run; });
  return command;
}

void print_result(const CommonOptions& common, const nlohmann::ordered_json& json, const std::string& text) {
  if (common.json) {
    std::cout << json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  } else {
    std::cout << text;
    if (!text.empty() && text.back() != '\n') std::cout << '\n';
  }
  std::cout << std::flush;
}

bool wants_color() {
  return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
}

std::string shell_quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                          "_-./=:,+@%") == std::string::npos;
  if (plain) return word;
  std::string quoted;
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return "'" + quoted + "'";
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string line;
  for (std::string word; std::getline(file, word, '\0');) line += (line.empty() ? "" : " ") + shell_quoted(word);
  return line;
}

const CLI::Validator kOneOrMore(
    [](std::string& text) {
      int64_t value = 0;
      const bool fits = CLI::detail::lexical_cast(text, value) && value >= 1;
      return fits ? std::string() : "must be a whole number of 1 or more, not " + text;
    },
    "1 or more");

nlohmann::ordered_json finite_or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
}

}  // namespace skipattn::cli
