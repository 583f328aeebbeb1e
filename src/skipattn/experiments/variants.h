// Variants of one experiment: named sets of overrides over one TOML file, most often another routing.
//
//   [compare]
//   variants = ["baseline", "sla", "sla(keys=own)", "wide"]     # a routing's text, or a name from [variants]
//   seeds = 3                                                    # how many, or a list of seeds
//   [variants.wide]
//   model.routing = "sla(distance=1/2)"
//   training.learning_rate = 1e-3
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "skipattn/training/run_config.h"

namespace skipattn::experiments {

struct Variant {
  std::string name;
  std::vector<std::pair<std::string, std::string>> overrides;  ///< ("section.key", value), applied in order
};

/// Everything a comparison is made of.
struct Experiment {
  training::RunConfig base;
  std::vector<Variant> variants;    ///< the one that others are compared with is the first
  std::vector<uint64_t> seeds;      ///< distinct
  std::string command = "compare";  ///< that errors are said to come from
};

/// What the command line says about an experiment.
struct ExperimentArguments {
  std::filesystem::path config;
  std::vector<std::string> variants;   ///< NAME[:KEY=VALUE,…]; replaces the file's list when not empty
  int64_t seeds = 0;                   ///< how many; 0: as the file says
  std::vector<std::string> overrides;  ///< KEY=VALUE for all variants
};

/// Reads the file and the arguments. A variant called "baseline" (added when it is missing) is what the others are
/// compared with. InputError lists every fault: unknown keys, variants that do not fit the model, doubled names.
Experiment read_experiment(const ExperimentArguments& arguments);

/// InputError listing every fault: variants that do not fit the model, names or folders used twice, seeds named twice.
void check_experiment(const Experiment& experiment);

/// A variant's name as a folder's: what is no letter, digit or one of ._-= becomes _; long names end in a hash.
std::string folder_name(const std::string& name);

/// True for "sla", "cla(group=3)", …: a variant of that name has that routing unless it says otherwise.
bool is_routing_name(const std::string& name);

/// The settings of one run, not yet finished.
training::RunConfig run_config(const Experiment& experiment, const Variant& variant, uint64_t seed);

}  // namespace skipattn::experiments
