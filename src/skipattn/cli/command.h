// What every command of the binary shares: its options, how its result is printed, how progress looks.
// A command is one file with one function, add_NAME_command(), listed in main.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "skipattn/core/progress.h"
#include "skipattn/inference/dtype.h"
#include "skipattn/training/machine.h"
#include "skipattn/training/run_config.h"

namespace skipattn::cli {

/// Options that every command takes (INTERFACE: --json, --seed, --threads, --device, --dtype, --cache-dtype, --weights).
struct CommonOptions {
  bool json = false;
  bool quiet = false;
  std::optional<int64_t> seed;
  int64_t threads = 0;
  std::string device = "auto";
  std::string dtype = "auto";
  std::string cache_dtype = "bf16";
  std::string weights;
  const CLI::Option* cache_dtype_option = nullptr;  // whether --cache-dtype was given

  training::MachineConfig machine() const { return {device, dtype, threads}; }
  /// Writes the options a person gave over those of a run's file.
  void apply_to(training::RunConfig& config) const;
};

/// The chosen command, set by CLI11's callback and run by main().
using Action = std::function<void()>;

/// The machine for reading and decoding; --weights says the dtype (int8: bf16). Throws InputError, `prefix` first, where
/// --dtype says another.
training::MachineConfig inference_machine(const CommonOptions& common, const std::string& prefix);
/// Throws InputError where --weights or --cache-dtype was given to a command that neither generates nor counts.
void refuse_generation_options(const CommonOptions& common, const std::string& prefix);
/// What the weights are kept in on that machine: --weights, or its dtype.
inference::Dtype weights_dtype(const CommonOptions& common, const training::Machine& machine);

/// Adds a subcommand with the common options and the examples shown under --help. `run` gets called when it is chosen.
CLI::App* add_command(CLI::App& app, Action& chosen, const std::string& name, const std::string& summary,
                      const std::string& examples, CommonOptions& common, Action run);

/// Prints one JSON object, or the text for people, on standard output.
void print_result(const CommonOptions& common, const nlohmann::ordered_json& json, const std::string& text);

/// Progress on standard error: one line that is redrawn on a terminal, a plain line now and then in a log.
ProgressSink progress_view(const CommonOptions& common);

/// True when standard output is a terminal that takes colours.
bool wants_color();

/// A word as a shell takes it for one.
std::string shell_quoted(const std::string& word);

/// How this process was called, quoted for a shell.
std::string command_line();

/// Checks that a number is 1 or more, in words a person understands.
extern const CLI::Validator kOneOrMore;

/// A number for JSON: null when it is not finite.
nlohmann::ordered_json finite_or_null(double value);

void add_plan_command(CLI::App& app, Action& chosen);
void add_tokenize_command(CLI::App& app, Action& chosen);
void add_train_command(CLI::App& app, Action& chosen);
void add_eval_command(CLI::App& app, Action& chosen);
void add_compare_command(CLI::App& app, Action& chosen);
void add_sweep_command(CLI::App& app, Action& chosen);
void add_convert_command(CLI::App& app, Action& chosen);
void add_generate_command(CLI::App& app, Action& chosen);
void add_serve_command(CLI::App& app, Action& chosen);
void add_profile_command(CLI::App& app, Action& chosen);

}  // namespace skipattn::cli
