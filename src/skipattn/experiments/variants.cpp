#include "skipattn/experiments/variants.h"

#include <algorithm>
#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/experiment_file.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::experiments {

namespace {

/// The file's [compare] and [variants].
struct FileSettings {
  std::vector<std::string> variants;
  SeedChoice seeds;
  NamedOverrides named;
};

void read_compare_key(const std::string& key, const toml::node& node, FileSettings& settings) {
  const auto wrong = [&] { throw InputError("compare.{} = {}: must be a list of names", key, value_text(node)); };
  if (key == "variants") {
    if (!node.is_array()) wrong();
    for (const toml::node& item : *node.as_array()) {
      if (!item.is_string()) wrong();
      settings.variants.push_back(item.value<std::string>().value());
    }
  } else if (key == "seeds") {
    settings.seeds = read_seeds("compare", node);
  } else {
    throw InputError("compare.{}: unknown key{}", key, did_you_mean(key, {"variants", "seeds"}));
  }
}

FileSettings read_file_settings(const std::filesystem::path& file) {
  const toml::table table = parse_experiment_file(file);
  FileSettings settings;
  if (const toml::table* compare = table["compare"].as_table())
    for (const auto& [key, node] : *compare) read_compare_key(std::string(key.str()), node, settings);
  settings.named = read_named_overrides(table, file);
  return settings;
}

void put_baseline_first(std::vector<Variant>& variants) {
  const auto found = std::ranges::find(variants, "baseline", &Variant::name);
  if (found == variants.end()) {
    variants.insert(variants.begin(), {"baseline", {{"model.routing", "baseline"}}});
  } else {
    std::rotate(variants.begin(), found, found + 1);
  }
}

}  // namespace

void check_experiment(const Experiment& experiment) {
  FaultList faults;
  if (experiment.base.data.val.empty())
    faults.add("data.val: not given; variants are compared on held-out token files");
  std::set<std::string> names, folders;
  for (const Variant& variant : experiment.variants) {
    if (!names.insert(variant.name).second) {
      faults.add("variant '{}': named twice", variant.name);
    } else if (const std::string folder = folder_name(variant.name); !folders.insert(folder).second) {
      faults.add("variant '{}': another one has its folder, runs/{}; give it another name", variant.name, folder);
    }
    try {
      training::RunConfig config = run_config(experiment, variant, experiment.seeds.front());
      training::finish_run_config(config);
    } catch (const InputError& error) {
      faults.add("variant '{}': {}", variant.name, error.what());
    }
  }
  if (std::set<uint64_t>(experiment.seeds.begin(), experiment.seeds.end()).size() != experiment.seeds.size())
    faults.add("seeds: each must be named once");
  faults.throw_if_any(fmt::format("[{}] ", experiment.command));
}

std::string folder_name(const std::string& name) {
  constexpr size_t kLongest = 100;
  std::string safe;
  for (const char c : name)
    safe += std::isalnum(static_cast<unsigned char>(c)) || std::string_view("._-=").find(c) != std::string_view::npos
                ? c
                : '_';
  if (safe.size() <= kLongest) return safe;
  return fmt::format("{}-{:016x}", safe.substr(0, kLongest), derive_seed(0, name));
}

bool is_routing_name(const std::string& name) {
  const std::string head = name.substr(0, name.find('('));
  static const std::vector<std::string> kNames = {"baseline", "sla", "skipv1", "cla", "yoco"};
  return std::ranges::find(kNames, head) != kNames.end();
}

Experiment read_experiment(const ExperimentArguments& arguments) {
  Experiment experiment;
  experiment.base = training::read_run_config(arguments.config, {"compare", "variants", "sweep"});
  for (const std::string& assignment : arguments.overrides) training::apply_override(experiment.base, assignment);
  const FileSettings settings = read_file_settings(arguments.config);
  std::vector<std::string> texts = arguments.variants.empty() ? settings.variants : arguments.variants;
  if (texts.empty())
    for (const auto& [name, overrides] : settings.named) texts.push_back(name);
  if (texts.empty()) texts = {"baseline", "sla"};
  for (const std::string& text : texts) experiment.variants.push_back(parse_variant(text, settings.named));
  put_baseline_first(experiment.variants);
  experiment.seeds = choose_seeds(arguments.seeds, settings.seeds, experiment.base.training.seed);
  check_experiment(experiment);
  return experiment;
}

training::RunConfig run_config(const Experiment& experiment, const Variant& variant, uint64_t seed) {
  training::RunConfig config = experiment.base;
  for (const auto& [key, value] : variant.overrides) training::set_field(config, key, value);
  config.model.routing = routing::read_routing_argument(config.model.routing);
  config.training.seed = static_cast<int64_t>(seed);
  return config;
}

}  // namespace skipattn::experiments
