#include "skipattn/experiments/experiment_file.h"

#include <algorithm>
#include <sstream>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/compressed_stream.h"

namespace skipattn::experiments {

namespace {

namespace fs = std::filesystem;

std::string resolved_path(const std::string& path, const fs::path& folder) {
  if (path.empty() || fs::path(path).is_absolute()) return path;
  return (folder / path).lexically_normal().string();
}

Overrides read_overrides(const std::string& name, const toml::node& node, const fs::path& folder) {
  if (!node.is_table()) throw InputError("[variants.{}]: must be a table of overrides", name);
  Overrides overrides;
  for (const auto& [section, keys] : *node.as_table()) {
    if (!keys.is_table())
      throw InputError("[variants.{}] {}: must be a key of a section, for example model.routing = \"sla\"", name,
                       section.str());
    for (const auto& [key, value] : *keys.as_table()) {
      const std::string full = fmt::format("{}.{}", section.str(), key.str());
      overrides.emplace_back(full, resolved_value(full, value_text(value), folder));
    }
  }
  return overrides;
}

}  // namespace

toml::table parse_experiment_file(const fs::path& file) {
  return toml::parse(io::read_file(file), file.string());
}

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

std::string resolved_value(const std::string& key, const std::string& value, const fs::path& folder) {
  if (key == "data.tokenizer") return resolved_path(value, folder);
  if (key != "data.train" && key != "data.val") return value;
  training::RunConfig reader;  // takes a path, a comma-separated list or a TOML list apart
  training::set_field(reader, key, value);
  std::vector<std::string> quoted;
  for (const std::string& path : key == "data.train" ? reader.data.train : reader.data.val) {
    std::ostringstream out;
    out << toml::value<std::string>(resolved_path(path, folder));
    quoted.push_back(out.str());
  }
  return fmt::format("[{}]", join(quoted, ", "));
}

NamedOverrides read_named_overrides(const toml::table& table, const fs::path& file) {
  NamedOverrides named;
  const fs::path folder = fs::absolute(file).parent_path();
  if (const toml::table* variants = table["variants"].as_table())
    for (const auto& [name, node] : *variants)
      named[std::string(name.str())] = read_overrides(std::string(name.str()), node, folder);
  return named;
}

SeedChoice read_seeds(const std::string& section, const toml::node& node) {
  const auto wrong = [&](const char* wanted) {
    throw InputError("{}.seeds = {}: must be {}", section, value_text(node), wanted);
  };
  SeedChoice choice;
  if (node.is_integer()) {
    choice.count = node.value<int64_t>().value();
    if (choice.count < 1) wrong("1 or more, or a list of seeds");
  } else if (node.is_array()) {
    for (const toml::node& item : *node.as_array()) {
      if (!item.is_integer() || item.value<int64_t>().value() < 0) wrong("a count or a list of seeds of 0 or more");
      choice.list.push_back(static_cast<uint64_t>(item.value<int64_t>().value()));
    }
  } else {
    wrong("a count or a list of seeds");
  }
  return choice;
}

std::vector<uint64_t> choose_seeds(int64_t asked, const SeedChoice& choice, int64_t first) {
  if (asked == 0 && !choice.list.empty()) return choice.list;
  const int64_t count = asked > 0 ? asked : std::max<int64_t>(choice.count, 1);
  std::vector<uint64_t> seeds;
  for (int64_t i = 0; i < count; ++i) seeds.push_back(static_cast<uint64_t>(first + i));
  return seeds;
}

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

}  // namespace skipattn::experiments
