#include "skipattn/experiments/sweep/settings.h"

#include <algorithm>
#include <sstream>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/experiment_file.h"

namespace skipattn::experiments {

namespace {

using nlohmann::ordered_json;

const std::vector<std::string> kOwnKeys = {"seeds", "best", "controls", "against"};

ordered_json to_json(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_table<decltype(value)> || toml::is_array<decltype(value)>)
      out << toml::json_formatter{value};
    else if constexpr (toml::is_string<decltype(value)>)
      out << ordered_json(value.get()).dump();
    else
      out << value;
  });
  const ordered_json value = ordered_json::parse(out.str(), nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? ordered_json(out.str()) : value;  // inf, dates: no setting takes them
}

/// Text as the command line gives it: a number, true, a list, or itself.
ordered_json to_json(const std::string& text) {
  const ordered_json value = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? ordered_json(text) : value;
}

std::vector<std::string> string_list(const std::string& key, const toml::node& node, FaultList& faults) {
  std::vector<std::string> list;
  if (node.is_string()) return {node.value<std::string>().value()};
  const bool strings =
      node.is_array() && std::ranges::all_of(*node.as_array(), [](const auto& item) { return item.is_string(); });
  if (!strings) {
    faults.add("sweep.{} = {}: must be a text or a list of texts", key, value_text(node));
    return list;
  }
  for (const toml::node& item : *node.as_array()) list.push_back(item.value<std::string>().value());
  return list;
}

/// The file's part, still as written.
struct FileSweep {
  std::vector<std::pair<SweepAxis, toml::source_position>> axes;
  std::vector<std::string> best, controls, against;
  SeedChoice seeds;
};

/// Keys and values of a table and of those in it: "training.batch_size" and 8.
void flatten(const std::string& prefix, const toml::table& table, std::vector<Setting>& settings) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix.empty() ? std::string(name.str()) : fmt::format("{}.{}", prefix, name.str());
    if (node.is_table())
      flatten(key, *node.as_table(), settings);
    else
      settings.emplace_back(key, to_json(node));
  }
}

/// One value of a list: itself, or {value = …, KEY = …} with what goes along.
void read_value(const toml::node& item, SweepAxis& axis, FaultList& faults) {
  std::vector<Setting> along;
  if (item.is_table()) {
    flatten("", *item.as_table(), along);
    const auto value = std::ranges::find(along, "value", &Setting::first);
    if (value == along.end()) {
      faults.add("sweep.{} = {}: a table must hold value = …, and beside it what goes along", axis.key,
                 value_text(item));
      return;
    }
    axis.values.push_back(value->second);
    along.erase(value);
  } else {
    axis.values.push_back(to_json(item));
  }
  axis.along.push_back(std::move(along));
}

/// A list of values, or a table that holds some under longer keys.
void read_axes(const std::string& key, const toml::node& node, FileSweep& sweep, FaultList& faults) {
  if (node.is_table()) {
    for (const auto& [name, inner] : *node.as_table())
      read_axes(fmt::format("{}.{}", key, name.str()), inner, sweep, faults);
  } else if (!node.is_array() || node.as_array()->empty()) {
    faults.add("sweep.{} = {}: must be a list of values", key, value_text(node));
  } else {
    SweepAxis axis{key, {}};
    for (const toml::node& item : *node.as_array()) read_value(item, axis, faults);
    sweep.axes.emplace_back(std::move(axis), node.source().begin);
  }
}

FileSweep read_file(const toml::table& table, FaultList& faults) {
  FileSweep sweep;
  const toml::table* section = table["sweep"].as_table();
  if (!section) return sweep;
  for (const auto& [name, node] : *section) {
    const std::string key(name.str());
    if (key == "seeds") {
      sweep.seeds = read_seeds("sweep", node);
    } else if (key == "best") {
      sweep.best = string_list(key, node, faults);
    } else if (key == "controls") {
      sweep.controls = string_list(key, node, faults);
    } else if (key == "against") {
      sweep.against = string_list(key, node, faults);
    } else if (node.is_table() || key == "variant" || key.find('.') != std::string::npos) {
      read_axes(key, node, sweep, faults);
    } else {
      faults.add("sweep.{}: must be a key of a section, for example training.learning_rate{}", key,
                 did_you_mean(key, kOwnKeys));
    }
  }
  std::ranges::stable_sort(sweep.axes, [](const auto& a, const auto& b) {
    return std::pair(a.second.line, a.second.column) < std::pair(b.second.line, b.second.column);
  });
  return sweep;
}

/// Names of files become paths from the config file's folder.
void resolve_paths(const std::string& key, ordered_json& value, const std::filesystem::path& folder) {
  if (key == "data.train" || key == "data.val" || key == "data.tokenizer")
    value = to_json(resolved_value(key, setting_text(value), folder));
}

std::pair<std::string, std::string> split_assignment(const std::string& option, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw InputError("{} '{}': must be KEY=VALUE", option, text);
  return {std::string(trim(text.substr(0, equals))), std::string(trim(text.substr(equals + 1)))};
}

void add_grid(const std::vector<std::string>& grid, std::vector<SweepAxis>& axes) {
  for (const std::string& text : grid) {
    const auto [key, values] = split_assignment("--grid", text);
    SweepAxis axis{key, {}};
    for (const std::string& value : split_outside_brackets(values, ','))
      axis.values.push_back(to_json(std::string(trim(value))));
    const auto found = std::ranges::find(axes, key, &SweepAxis::key);
    if (found != axes.end())
      *found = axis;
    else
      axes.push_back(axis);
  }
}

/// Adds a fault that names the nearest key unless it is one of a run's file.
void check_run_key(const std::string& key, FaultList& faults) {
  bool known = false;
  training::RunConfig config;
  training::visit_fields(config, [&](const std::string& section, const std::string& name, auto&, const char*) {
    known = known || fmt::format("{}.{}", section, name) == key;
  });
  if (known) return;
  try {
    training::set_field(config, key, "");
  } catch (const InputError& error) {
    faults.add_text(error.what());
  }
}

void check_axis(const SweepAxis& axis, const std::vector<std::string>& keys, FaultList& faults) {
  if (axis.key != "variant" && !axis.key.starts_with("model.routing.")) check_run_key(axis.key, faults);
  if (axis.key == "training.seed") faults.add("sweep.training.seed: seeds are given as seeds = [1, 2, 3]");
  for (size_t i = 0; i < axis.values.size(); ++i) {
    const auto here = axis.values.begin() + static_cast<int64_t>(i);
    if (std::find(axis.values.begin(), here, *here) != here)
      faults.add("sweep.{}: {} stands there twice", axis.key, here->dump());
  }
  for (const std::vector<Setting>& along : axis.along) {
    for (const auto& [key, value] : along) {
      if (std::ranges::find(keys, key) != keys.end() || key == "training.seed" || key == "model.routing")
        faults.add("sweep.{}: {} cannot go along, it is swept or given for itself", axis.key, key);
      else
        check_run_key(key, faults);
    }
  }
}

void check(const SweepSettings& settings, FaultList& faults) {
  std::vector<std::string> keys;
  for (const SweepAxis& axis : settings.axes) keys.push_back(axis.key);
  for (const SweepAxis& axis : settings.axes) check_axis(axis, keys, faults);
  if (settings.axes.empty())
    faults.add("[sweep]: no key has a list of values; for example model.routing = [\"baseline\", \"sla\"]");
  const auto has = [&](const std::string& key) { return std::ranges::find(keys, key) != keys.end(); };
  if (has("variant") && has("model.routing"))
    faults.add("sweep.variant and sweep.model.routing both say the routing; give one of them");
  for (const std::string& key : settings.best)
    if (!has(key)) faults.add("best '{}': no list of values for it in [sweep]{}", key, did_you_mean(key, keys));
  for (const auto& [key, value] : settings.against)
    if (!has(key) && key != "model.routing")
      faults.add("against '{}': no list of values for it in [sweep]{}", key, did_you_mean(key, keys));
}

}  // namespace

std::string budget_name(Budget budget) {
  return budget == Budget::kParameters ? "parameters" : budget == Budget::kFlops ? "flops" : "kv_bytes";
}

std::string budget_words(Budget budget) {
  return budget == Budget::kParameters ? "equal parameters"
         : budget == Budget::kFlops    ? "equal FLOPs"
                                       : "equal KV bytes";
}

Budget parse_budget(const std::string& text) {
  for (const Budget budget : {Budget::kParameters, Budget::kFlops, Budget::kKvBytes})
    if (text == budget_name(budget)) return budget;
  throw InputError("controls '{}': must be parameters, flops or kv_bytes", text);
}

std::string setting_text(const ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::vector<Setting> SweepAxis::along_with(const nlohmann::ordered_json& value) const {
  const auto found = std::ranges::find(values, value);
  if (found == values.end() || along.empty()) return {};
  return along[static_cast<size_t>(found - values.begin())];
}

SweepSettings read_sweep_settings(const SweepArguments& arguments) {
  SweepSettings settings;
  settings.base = training::read_run_config(arguments.config, {"compare", "variants", "sweep"});
  for (const std::string& assignment : arguments.overrides) training::apply_override(settings.base, assignment);
  const toml::table table = parse_experiment_file(arguments.config);
  FaultList faults;
  FileSweep file = read_file(table, faults);
  const std::filesystem::path folder = std::filesystem::absolute(arguments.config).parent_path();
  for (auto& [axis, place] : file.axes) {
    for (ordered_json& value : axis.values) resolve_paths(axis.key, value, folder);
    for (std::vector<Setting>& along : axis.along)
      for (auto& [key, value] : along) resolve_paths(key, value, folder);
    settings.axes.push_back(std::move(axis));
  }
  add_grid(arguments.grid, settings.axes);
  settings.best = arguments.best.empty() ? file.best : arguments.best;
  for (const std::string& text : arguments.controls.empty() ? file.controls : arguments.controls) {
    try {
      settings.controls.push_back(parse_budget(text));
    } catch (const InputError& error) {
      faults.add_text(error.what());
    }
  }
  for (const std::string& text : arguments.against.empty() ? file.against : arguments.against) {
    const auto [key, value] = split_assignment("against", text);
    settings.against.emplace_back(key, to_json(value));
  }
  settings.seeds = choose_seeds(arguments.seeds, file.seeds, settings.base.training.seed);
  for (const auto& item : read_named_overrides(table, arguments.config)) settings.named.push_back(item);
  check(settings, faults);
  faults.throw_if_any("[sweep] ");
  return settings;
}

}  // namespace skipattn::experiments
