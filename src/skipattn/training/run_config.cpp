#include "skipattn/training/run_config.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>
#include <algorithm>
#include <sstream>
#include <type_traits>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/compressed_stream.h"

namespace skipattn::training {

namespace {

std::vector<std::string> known_keys(const std::string& section = "") {
  std::vector<std::string> keys;
  RunConfig config;
  visit_fields(config, [&](const std::string& place, const std::string& key, auto&, const char*) {
    if (section.empty()) keys.push_back(fmt::format("{}.{}", place, key));
    if (place == section) keys.push_back(key);
  });
  return keys;
}

constexpr std::string_view kSections[] = {"model", "data", "training", "run"};

/// One field from a TOML value; false when the type does not fit.
bool assign(std::string& field, const toml::node& node) {
  if (!node.is_string()) return false;
  field = node.value<std::string>().value();
  return true;
}
bool assign(int64_t& field, const toml::node& node) {
  if (!node.is_integer()) return false;
  field = node.value<int64_t>().value();
  return true;
}
bool assign(double& field, const toml::node& node) {
  if (!node.is_floating_point() && !node.is_integer()) return false;
  field = node.value<double>().value();
  return true;
}
bool assign(bool& field, const toml::node& node) {
  if (!node.is_boolean()) return false;
  field = node.value<bool>().value();
  return true;
}
bool assign(std::vector<std::string>& field, const toml::node& node) {
  field.clear();
  if (node.is_string()) {
    field.push_back(node.value<std::string>().value());
    return true;
  }
  if (!node.is_array()) return false;
  for (const toml::node& item : *node.as_array()) {
    if (!item.is_string()) return false;
    field.push_back(item.value<std::string>().value());
  }
  return true;
}

bool assign(std::vector<int64_t>& field, const toml::node& node) {
  if (!node.is_array()) return false;
  field.clear();
  for (const toml::node& item : *node.as_array()) {
    if (!item.is_integer()) return false;
    field.push_back(item.value<int64_t>().value());
  }
  return true;
}

template <typename Field>
const char* expected_type() {
  if constexpr (std::is_same_v<Field, std::string>) return "a string";
  if constexpr (std::is_same_v<Field, int64_t>) return "a whole number";
  if constexpr (std::is_same_v<Field, double>) return "a number";
  if constexpr (std::is_same_v<Field, bool>) return "true or false";
  if constexpr (std::is_same_v<Field, std::vector<int64_t>>) return "a list of whole numbers";
  return "a string or a list of strings";
}

std::string shown(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) {
    if constexpr (toml::is_table<decltype(value)>)
      out << "a table";
    else if constexpr (toml::is_array<decltype(value)>)
      out << "a list";
    else
      out << value;
  });
  return out.str();
}

/// A routing given as a table becomes the JSON text of the same structure.
std::string routing_text(const toml::table& table) {
  std::ostringstream out;
  out << toml::json_formatter{table};
  return out.str();
}

void read_section(RunConfig& config, const std::string& section, const toml::table& table, FaultList& faults) {
  for (const auto& [key_node, node] : table) {
    const std::string key(key_node.str());
    config.given.insert(fmt::format("{}.{}", section, key));
    if (section == "model" && key == "name") continue;  // already taken as the preset
    if (section == "model" && key == "routing" && node.is_table()) {
      config.model.routing = routing_text(*node.as_table());
      continue;
    }
    bool known = false;
    visit_fields(config, [&](const std::string& place, const std::string& name, auto& field, const char*) {
      if (place != section || name != key) return;
      known = true;
      if (!assign(field, node))
        faults.add("{}.{} = {}: must be {}", section, key, shown(node), expected_type<std::decay_t<decltype(field)>>());
    });
    if (!known) faults.add("{}.{}: unknown key{}", section, key, did_you_mean(key, known_keys(section)));
  }
}

toml::table parse_toml(std::string_view text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    throw InputError("{}:{}:{}: {}", source, error.source().begin.line, error.source().begin.column,
                     error.description());
  }
}

void resolve_paths(RunConfig& config, const std::filesystem::path& folder) {
  const auto resolve = [&](std::string& path) {
    if (!path.empty() && std::filesystem::path(path).is_relative()) path = (folder / path).lexically_normal().string();
  };
  for (std::string& path : config.data.train) resolve(path);
  for (std::string& path : config.data.val) resolve(path);
  resolve(config.data.tokenizer);
}

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

std::string toml_text(const std::string& value) {
  return quoted(value);
}
std::string toml_text(int64_t value) {
  return fmt::format("{}", value);
}
std::string toml_text(bool value) {
  return value ? "true" : "false";
}
std::string toml_text(double value) {
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
std::string toml_text(const std::vector<std::string>& value) {
  std::vector<std::string> items;
  for (const std::string& item : value) items.push_back(quoted(item));
  return fmt::format("[{}]", join(items, ", "));
}

std::string toml_text(const std::vector<int64_t>& value) {
  return fmt::format("[{}]", fmt::join(value, ", "));
}

/// A value as the command line gives it: TOML where that parses to the right type, else the bare text for strings.
template <typename Field>
bool assign_text(Field& field, std::string_view text) {
  const std::string value(trim(text));
  if constexpr (std::is_same_v<Field, std::string>) {
    const bool is_quoted = value.size() > 1 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
    field = is_quoted ? value.substr(1, value.size() - 2) : value;
    return true;
  } else {
    if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
      if (value.empty() || value[0] != '[') {
        field = split(value, ',');
        return true;
      }
    }
    try {
      const toml::table table = toml::parse(fmt::format("x = {}", value));
      return table.size() == 1 && assign(field, *table.get("x"));
    } catch (const toml::parse_error&) {
      return false;
    }
  }
}

}  // namespace

RunConfig parse_run_config(std::string_view toml, const std::string& source,
                           const std::vector<std::string>& extra_sections) {
  const toml::table table = parse_toml(toml, source);
  RunConfig config;
  if (const auto name = table["model"]["name"].value<std::string>(); name && !name->empty())
    config.model = model::preset(*name);
  FaultList faults;
  std::vector<std::string> sections(std::begin(kSections), std::end(kSections));
  sections.insert(sections.end(), extra_sections.begin(), extra_sections.end());
  for (const auto& [key_node, node] : table) {
    const std::string section(key_node.str());
    if (std::ranges::find(extra_sections, section) != extra_sections.end()) continue;
    if (std::ranges::find(kSections, section) == std::end(kSections)) {
      faults.add("[{}]: unknown section{}; known are {}", section, did_you_mean(section, sections),
                 join(sections, ", "));
    } else if (!node.is_table()) {
      faults.add("{}: must be a section [{}]", section, section);
    } else {
      read_section(config, section, *node.as_table(), faults);
    }
  }
  faults.throw_if_any(fmt::format("{}: ", source));
  return config;
}

RunConfig read_run_config(const std::filesystem::path& file, const std::vector<std::string>& extra_sections) {
  RunConfig config = parse_run_config(io::read_file(file), file.string(), extra_sections);
  resolve_paths(config, std::filesystem::absolute(file).parent_path());
  return config;
}

void set_field(RunConfig& config, std::string_view key, std::string_view value) {
  config.given.emplace(key);
  if (key == "model.name") {
    const std::string routing = config.model.routing;
    config.model = model::preset(std::string(trim(value)));
    config.model.routing = routing;
    return;
  }
  bool known = false;
  visit_fields(config, [&](const std::string& section, const std::string& name, auto& field, const char*) {
    if (fmt::format("{}.{}", section, name) != key) return;
    known = true;
    if (!assign_text(field, value))
      throw InputError("{}={}: must be {}", key, value, expected_type<std::decay_t<decltype(field)>>());
  });
  if (!known) throw InputError("{}: unknown key{}", key, did_you_mean(key, known_keys()));
}

void apply_override(RunConfig& config, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos)
    throw InputError("'{}': must be KEY=VALUE, for example training.steps=100", assignment);
  set_field(config, trim(assignment.substr(0, equals)), assignment.substr(equals + 1));
}

std::string to_toml(const RunConfig& config, bool comments) {
  std::string text, current;
  visit_fields(config, [&](const std::string& section, const std::string& key, const auto& field, const char* meaning) {
    if (section != current) text += fmt::format("{}[{}]\n", current.empty() ? "" : "\n", section);
    current = section;
    const std::string line = fmt::format("{} = {}", key, toml_text(field));
    text += comments ? fmt::format("{:<36} # {}\n", line, meaning) : line + "\n";
  });
  return text;
}

}  // namespace skipattn::training
