// From the settings of a cell to its name and to the overrides of its runs. Used inside the module only.
#pragma once

#include <string>
#include <vector>

#include "skipattn/experiments/sweep/settings.h"
#include "skipattn/experiments/variants.h"

namespace skipattn::experiments {

constexpr const char* kRoutingKey = "model.routing";
constexpr const char* kRoutingArgument = "model.routing.";
constexpr const char* kVariantKey = "variant";

/// The routing of the file's [model]; a table that names a routing becomes its text, "sla(distance=9)".
std::string routing_of_base(const training::RunConfig& base);

/// "sla(distance=9, heads=3)" from "sla(distance=9)" and heads = 3. InputError for tables and files, which take none.
std::string with_arguments(const std::string& routing, const std::vector<Setting>& arguments);

/// Name and overrides of a cell: routing first, then "key=value" in the order of the settings.
Variant name_cell(const std::vector<Setting>& settings, const SweepSettings& sweep);

/// The same settings without routing arguments where the routing is the baseline, which has none.
std::vector<Setting> without_idle_arguments(const std::vector<Setting>& settings, const SweepSettings& sweep);

/// The value of a key among settings; null when it is absent.
const nlohmann::ordered_json* find_setting(const std::vector<Setting>& settings, const std::string& key);
/// Replaces the key's value or adds it.
void put_setting(std::vector<Setting>& settings, const Setting& setting);

}  // namespace skipattn::experiments
