#include "skipattn/experiments/variants.h"

#include <toml++/toml.h>
#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/compressed_stream.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::experiments {

namespace {

using Overrides = std::vector<std::pair<std::string, std::string>>;
using NamedOverrides = std::map<std::string, Overrides>;

std::string value_text(const toml::node& node) {
  std::ostringstream out;
  if (const auto text = node.value<std::string>(); text && node.is_string()) return *text;
  if (node.is_table()) {
    out << toml::json_formatter{*node.as_table()};
  } else {
    node.visit([&](const auto& value) { out << value; });
  }
  return out.str();
}

/// [variants.NAME] holds section tables ("model.routing = …" is one written short).
Overrides read_overrides(const std::string& name, const toml::node& node) {
  if (!node.is_table()) throw InputError("[variants.{}]: must be a table of overrides", name);
  Overrides overrides;
  for (const auto& [section, keys] : *node.as_table()) {
    if (!keys.is_table())
      throw InputError("[variants.{}] {}: must be a key of a section, for example model.routing = \"sla\"", name,
                       section.str());
    for (const auto& [key, value] : *keys.as_table())
      overrides.emplace_back(fmt::format("{}.{}", section.str(), key.str()), value_text(value));
  }
  return overrides;
}

/// The file's [compare] and [variants].
struct FileSettings {
  std::vector<std::string> variants;
  std::vector<uint64_t> seed_list;
  int64_t seed_count = 0;
  NamedOverrides named;
};

void read_compare_key(const std::string& key, const toml::node& node, FileSettings& settings) {
  const auto wrong = [&](const char* wanted) {
    throw InputError("compare.{} = {}: must be {}", key, value_text(node), wanted);
  };
  if (key == "variants") {
    if (!node.is_array()) wrong("a list of names");
    for (const toml::node& item : *node.as_array()) {
      if (!item.is_string()) wrong("a list of names");
      settings.variants.push_back(item.value<std::string>().value());
    }
  } else if (key == "seeds") {
    if (node.is_integer()) {
      settings.seed_count = node.value<int64_t>().value();
      if (settings.seed_count < 1) wrong("1 or more, or a list of seeds");
    } else if (node.is_array()) {
      for (const toml::node& item : *node.as_array()) {
        if (!item.is_integer() || item.value<int64_t>().value() < 0) wrong("a count or a list of seeds of 0 or more");
        settings.seed_list.push_back(static_cast<uint64_t>(item.value<int64_t>().value()));
      }
    } else {
      wrong("a count or a list of seeds");
    }
  } else {
    throw InputError("compare.{}: unknown key{}", key, did_you_mean(key, {"variants", "seeds"}));
  }
}

FileSettings read_file_settings(const std::filesystem::path& file) {
  const toml::table table = toml::parse(io::read_file(file), file.string());  // read_run_config has parsed it once
  FileSettings settings;
  if (const toml::table* compare = table["compare"].as_table())
    for (const auto& [key, node] : *compare) read_compare_key(std::string(key.str()), node, settings);
  if (const toml::table* variants = table["variants"].as_table())
    for (const auto& [name, node] : *variants)
      settings.named[std::string(name.str())] = read_overrides(std::string(name.str()), node);
  return settings;
}

/// "NAME[:KEY=VALUE,…]". A name that [variants] does not hold is itself the routing.
Variant parse_variant(const std::string& text, const NamedOverrides& named) {
  const std::vector<std::string> parts = split_outside_brackets(text, ':');
  Variant variant;
  variant.name = std::string(trim(parts[0]));
  if (variant.name.empty()) throw InputError("variant '{}': has no name", text);
  const auto found = named.find(variant.name);
  if (found != named.end()) variant.overrides = found->second;
  if (parts.size() > 1) {
    const std::string rest = text.substr(parts[0].size() + 1);
    for (const std::string& assignment : split_outside_brackets(rest, ',')) {
      const size_t equals = assignment.find('=');
      if (equals == std::string::npos)
        throw InputError("variant '{}': '{}' must be KEY=VALUE, for example model.routing=sla", text, assignment);
      variant.overrides.emplace_back(trim(assignment.substr(0, equals)), trim(assignment.substr(equals + 1)));
    }
  }
  const bool has_routing =
      std::ranges::any_of(variant.overrides, [](const auto& item) { return item.first == "model.routing"; });
  if (!has_routing && (found == named.end() || variant.name == "baseline"))
    if (parts.size() == 1 || is_routing_name(variant.name))
      variant.overrides.emplace_back("model.routing", variant.name);
  return variant;
}

std::vector<uint64_t> choose_seeds(const ExperimentArguments& arguments, const FileSettings& settings, int64_t first) {
  if (arguments.seeds == 0 && !settings.seed_list.empty()) return settings.seed_list;
  const int64_t count = arguments.seeds > 0 ? arguments.seeds : std::max<int64_t>(settings.seed_count, 1);
  std::vector<uint64_t> seeds;
  for (int64_t i = 0; i < count; ++i) seeds.push_back(static_cast<uint64_t>(first + i));
  return seeds;
}

void put_baseline_first(std::vector<Variant>& variants) {
  const auto found = std::ranges::find(variants, "baseline", &Variant::name);
  if (found == variants.end()) {
    variants.insert(variants.begin(), {"baseline", {{"model.routing", "baseline"}}});
  } else {
    std::rotate(variants.begin(), found, found + 1);
  }
}

void check(const Experiment& experiment) {
  FaultList faults;
  if (experiment.base.data.val.empty())
    faults.add("data.val: not given; variants are compared on held-out token files");
  std::set<std::string> names;
  for (const Variant& variant : experiment.variants) {
    if (!names.insert(variant.name).second) faults.add("variant '{}': named twice", variant.name);
    try {
      training::RunConfig config = run_config(experiment, variant, experiment.seeds.front());
      training::finish_run_config(config);
    } catch (const InputError& error) {
      faults.add("variant '{}': {}", variant.name, error.what());
    }
  }
  if (std::set<uint64_t>(experiment.seeds.begin(), experiment.seeds.end()).size() != experiment.seeds.size())
    faults.add("seeds: each must be named once");
  faults.throw_if_any("[compare] ");
}

}  // namespace

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
  experiment.seeds = choose_seeds(arguments, settings, experiment.base.training.seed);
  check(experiment);
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
