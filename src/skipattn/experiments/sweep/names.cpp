#include "skipattn/experiments/sweep/names.h"

#include <algorithm>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/experiments/experiment_file.h"

namespace skipattn::experiments {

namespace {

using nlohmann::ordered_json;

bool is_argument(const std::string& key) {
  return key.starts_with(kRoutingArgument);
}

std::string last_part(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

/// The key as names show it: its last part where that is clear.
std::string short_key(const std::string& key, const SweepSettings& sweep) {
  const auto same = [&](const SweepAxis& axis) { return last_part(axis.key) == last_part(key); };
  return std::ranges::count_if(sweep.axes, same) > 1 ? key : last_part(key);
}

/// Data files by their names, so that a cell is called the same on every machine.
std::string shown_value(const Setting& setting) {
  const auto& [key, value] = setting;
  if (key != "data.train" && key != "data.val" && key != "data.tokenizer") return setting_text(value);
  std::vector<std::string> names;
  for (const ordered_json& path : value.is_array() ? value : ordered_json::array({value}))
    names.push_back(std::filesystem::path(setting_text(path)).filename().string());
  return join(names, "+");
}

Overrides variant_overrides(const ordered_json& value, const SweepSettings& sweep) {
  const NamedOverrides named(sweep.named.begin(), sweep.named.end());
  return parse_variant(setting_text(value), named).overrides;
}

/// The routing that settings mean, its arguments left out.
std::string plain_routing(const std::vector<Setting>& settings, const SweepSettings& sweep) {
  std::string routing = routing_of_base(sweep.base);
  for (const auto& [key, value] : settings) {
    if (key == kRoutingKey) routing = setting_text(value);
    if (key != kVariantKey) continue;
    for (const auto& [name, text] : variant_overrides(value, sweep))
      if (name == kRoutingKey) routing = text;
  }
  return routing;
}

}  // namespace

std::string routing_of_base(const training::RunConfig& base) {
  const ordered_json table = ordered_json::parse(base.model.routing, nullptr, /*allow_exceptions=*/false);
  if (!table.is_object() || !table.contains("name")) return base.model.routing;
  std::vector<Setting> arguments;
  for (const auto& [key, value] : table.items())
    if (key != "name") arguments.emplace_back(kRoutingArgument + key, value);
  return with_arguments(setting_text(table["name"]), arguments);
}

std::string with_arguments(const std::string& routing, const std::vector<Setting>& arguments) {
  if (arguments.empty()) return routing;
  const size_t open = routing.find('(');
  const std::string name(trim(routing.substr(0, open)));
  if (name.empty() || name.find_first_of("{@[\"") != std::string::npos)
    throw InputError("{}: the routing {} takes no arguments; only one with a name does", arguments.front().first,
                     routing);
  std::vector<std::pair<std::string, std::string>> parts;
  if (open != std::string::npos) {
    const size_t close = routing.rfind(')');
    for (const std::string& part : split_outside_brackets(routing.substr(open + 1, close - open - 1), ',')) {
      const size_t equals = part.find('=');
      if (equals != std::string::npos) parts.emplace_back(trim(part.substr(0, equals)), trim(part.substr(equals + 1)));
    }
  }
  for (const auto& [key, value] : arguments) {
    const std::string argument = last_part(key);
    const auto found = std::ranges::find_if(parts, [&](const auto& part) { return part.first == argument; });
    if (found != parts.end())
      found->second = setting_text(value);
    else
      parts.emplace_back(argument, setting_text(value));
  }
  std::vector<std::string> texts;
  for (const auto& [key, value] : parts) texts.push_back(fmt::format("{}={}", key, value));
  return fmt::format("{}({})", name, join(texts, ", "));
}

Variant name_cell(const std::vector<Setting>& settings, const SweepSettings& sweep) {
  Variant cell;
  std::vector<std::string> parts;
  std::vector<Setting> arguments;
  const bool is_variant = find_setting(settings, kVariantKey) != nullptr;
  for (const Setting& setting : settings) {
    const auto& [key, value] = setting;
    if (key == kVariantKey) {
      parts.insert(parts.begin(), setting_text(value));
      for (const auto& item : variant_overrides(value, sweep)) cell.overrides.push_back(item);
    } else if (is_argument(key)) {
      arguments.push_back(setting);
      if (is_variant) parts.push_back(fmt::format("{}={}", short_key(key, sweep), shown_value(setting)));
    } else if (key != kRoutingKey) {
      parts.push_back(fmt::format("{}={}", short_key(key, sweep), shown_value(setting)));
    }
  }
  // Overrides of single keys stand behind a variant's, so that they hold; what goes along with a key behind that key, since
  // model.name sets all sizes.
  for (const auto& [key, value] : settings) {
    if (key != kVariantKey && key != kRoutingKey && !is_argument(key))
      cell.overrides.emplace_back(key, setting_text(value));
    const auto axis = std::ranges::find(sweep.axes, key, &SweepAxis::key);
    if (axis == sweep.axes.end()) continue;
    for (const auto& [other, text] : axis->along_with(value)) cell.overrides.emplace_back(other, setting_text(text));
  }
  if (find_setting(settings, kRoutingKey) != nullptr || !arguments.empty()) {
    const std::string routing = with_arguments(plain_routing(settings, sweep), arguments);
    cell.overrides.emplace_back(kRoutingKey, routing);
    if (!is_variant) parts.insert(parts.begin(), routing);
  }
  cell.name = parts.empty() ? "model" : join(parts, ", ");
  return cell;
}

std::vector<Setting> without_idle_arguments(const std::vector<Setting>& settings, const SweepSettings& sweep) {
  if (plain_routing(settings, sweep) != "baseline") return settings;
  std::vector<Setting> kept;
  for (const Setting& setting : settings)
    if (!is_argument(setting.first)) kept.push_back(setting);
  return kept;
}

const ordered_json* find_setting(const std::vector<Setting>& settings, const std::string& key) {
  const auto found = std::ranges::find(settings, key, &Setting::first);
  return found == settings.end() ? nullptr : &found->second;
}

void put_setting(std::vector<Setting>& settings, const Setting& setting) {
  const auto found = std::ranges::find(settings, setting.first, &Setting::first);
  if (found != settings.end())
    found->second = setting.second;
  else
    settings.push_back(setting);
}

}  // namespace skipattn::experiments
