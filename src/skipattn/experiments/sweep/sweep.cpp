#include "skipattn/experiments/sweep/sweep.h"

#include <algorithm>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/experiments/sweep/controls.h"
#include "skipattn/experiments/sweep/names.h"

namespace skipattn::experiments {

namespace {

using Settings = std::vector<Setting>;

/// All combinations, the first axis outermost.
std::vector<Settings> product(const std::vector<SweepAxis>& axes) {
  std::vector<Settings> all(1);
  for (const SweepAxis& axis : axes) {
    std::vector<Settings> longer;
    for (const Settings& settings : all) {
      for (const auto& value : axis.values) {
        longer.push_back(settings);
        longer.back().emplace_back(axis.key, value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// Grows a Sweep cell by cell.
class Layout {
 public:
  explicit Layout(const SweepSettings& settings) : settings_(settings) {
    add_routing_axis();
    for (Settings& cell : product(settings_.axes)) all_.push_back(without_idle_arguments(cell, settings_));
    if (settings_.against.empty()) choose_reference();
    sweep_.experiment.base = settings_.base;
    sweep_.experiment.seeds = settings_.seeds;
    sweep_.experiment.command = "sweep";
    sweep_.axes = settings_.axes;
    sweep_.best = settings_.best;
  }

  Sweep build() {
    for (const Settings& cell : all_) add_to_group(reference_of(cell));
    for (const Settings& cell : all_) add_to_group(cell);
    for (SweepGroup& group : groups_) {
      const size_t reference = group_of(reference_of(sweep_.cells[group.cells.front()].settings));
      group.reference = reference;
      group.role = &group == &groups_[reference] ? Role::kReference : Role::kVariant;
      for (const size_t cell : group.cells) sweep_.cells[cell].role = group.role;
    }
    check_experiment(sweep_.experiment);
    if (!settings_.controls.empty()) {
      add_controls();
      check_experiment(sweep_.experiment);
    }
    return ordered();
  }

 private:
  bool has_axis(const std::string& key) const {
    return std::ranges::find(settings_.axes, key, &SweepAxis::key) != settings_.axes.end();
  }

  /// Where the file's [model] has a routing, or its arguments are swept, the baseline is one more value of it.
  void add_routing_axis() {
    if (has_axis(kRoutingKey) || has_axis(kVariantKey)) return;
    const auto is_argument = [](const SweepAxis& axis) { return axis.key.starts_with(kRoutingArgument); };
    const auto argument = std::ranges::find_if(settings_.axes, is_argument);
    const bool against = find_setting(settings_.against, kRoutingKey) != nullptr;
    const std::string routing = routing_of_base(settings_.base);
    if (argument != settings_.axes.end() && routing == "baseline")
      throw InputError("[sweep] {}: the baseline has no arguments; give model.routing too, for example \"sla\"",
                       argument->key);
    if (routing != "baseline" || against) settings_.axes.insert(settings_.axes.begin(), {kRoutingKey, {routing}});
  }

  void choose_reference() {
    const std::string key = has_axis(kVariantKey) ? kVariantKey : kRoutingKey;
    if (has_axis(key)) {
      settings_.against = {{key, "baseline"}};
      return;
    }
    for (const SweepAxis& axis : settings_.axes)
      if (std::ranges::find(settings_.best, axis.key) == settings_.best.end())
        settings_.against.emplace_back(axis.key, axis.values.front());
  }

  Settings reference_of(Settings settings) const {
    for (const Setting& setting : settings_.against) put_setting(settings, setting);
    return without_idle_arguments(settings, settings_);
  }

  std::string group_name(const Settings& settings) const {
    Settings kept;
    for (const Setting& setting : settings)
      if (std::ranges::find(settings_.best, setting.first) == settings_.best.end()) kept.push_back(setting);
    return name_cell(kept, settings_).name;
  }

  size_t group_of(const Settings& settings) const { return group_index_.at(group_name(settings)); }

  size_t add_cell(const Settings& settings, Role role) {
    Variant variant = name_cell(settings, settings_);
    const auto [found, is_new] = cell_index_.try_emplace(variant.name, sweep_.cells.size());
    if (is_new) {
      sweep_.cells.push_back({settings, role});
      sweep_.experiment.variants.push_back(std::move(variant));
    }
    return found->second;
  }

  void add_to_group(const Settings& settings) {
    const size_t cell = add_cell(settings, Role::kVariant);
    const std::string name = group_name(settings);
    const auto [found, is_new] = group_index_.try_emplace(name, groups_.size());
    if (is_new) groups_.push_back({name, {}, Role::kVariant, 0, {}});
    std::vector<size_t>& cells = groups_[found->second].cells;
    if (std::ranges::find(cells, cell) == cells.end()) cells.push_back(cell);
  }

  training::RunConfig finished(const Settings& settings) const {
    training::RunConfig config =
        run_config(sweep_.experiment, name_cell(settings, settings_), sweep_.experiment.seeds.front());
    training::finish_run_config(config);
    return config;
  }

  /// A control group for every variant and budget, unless the reference itself spends as much.
  void add_controls() {
    const size_t count = groups_.size();
    for (size_t g = 0; g < count; ++g) {
      if (groups_[g].role != Role::kVariant) continue;
      for (const Budget budget : settings_.controls) add_control(g, budget);
    }
  }

  void add_control(size_t variant, Budget budget) {
    SweepGroup control{"", {}, Role::kControl, groups_[variant].reference, {}};
    for (const size_t cell : groups_[variant].cells) {
      const Settings settings = sweep_.cells[cell].settings;
      Settings plain = reference_of(settings);
      const Settings changes = matching_control(finished(settings), finished(plain), budget);
      if (changes.empty()) return;
      for (const Setting& change : changes) put_setting(plain, change);
      control.cells.push_back(add_cell(plain, Role::kControl));
      if (control.name.empty()) control.name = group_name(plain);
    }
    const auto same = [&](const SweepGroup& group) {
      return group.name == control.name && group.cells == control.cells;
    };
    const auto found = std::ranges::find_if(groups_, same);
    groups_[variant].controls.emplace_back(budget, static_cast<size_t>(found - groups_.begin()));
    if (found == groups_.end()) groups_.push_back(control);
  }

  /// Groups in the order of tables, and cells (so runs) in the order of their groups.
  Sweep ordered() {
    std::vector<size_t> order;
    const auto add = [&](size_t group) {
      if (std::ranges::find(order, group) == order.end()) order.push_back(group);
    };
    for (size_t r = 0; r < groups_.size(); ++r) {
      if (groups_[r].role != Role::kReference) continue;
      add(r);
      for (size_t g = 0; g < groups_.size(); ++g) {
        if (groups_[g].role != Role::kVariant || groups_[g].reference != r) continue;
        add(g);
        for (const auto& [budget, control] : groups_[g].controls) add(control);
      }
    }
    std::map<size_t, size_t> new_group, new_cell;
    Sweep result = sweep_;
    result.cells.clear();
    result.experiment.variants.clear();
    for (const size_t old : order) {
      new_group[old] = new_group.size();
      for (const size_t cell : groups_[old].cells) {
        if (!new_cell.try_emplace(cell, result.cells.size()).second) continue;
        result.cells.push_back(sweep_.cells[cell]);
        result.experiment.variants.push_back(sweep_.experiment.variants[cell]);
      }
    }
    for (const size_t old : order) {
      SweepGroup group = groups_[old];
      group.reference = new_group.at(group.reference);
      for (size_t& cell : group.cells) cell = new_cell.at(cell);
      for (auto& [budget, control] : group.controls) control = new_group.at(control);
      result.groups.push_back(std::move(group));
    }
    return result;
  }

  SweepSettings settings_;
  std::vector<Settings> all_;
  Sweep sweep_;
  std::vector<SweepGroup> groups_;
  std::map<std::string, size_t> cell_index_, group_index_;
};

}  // namespace

std::string role_name(Role role) {
  return role == Role::kReference ? "reference" : role == Role::kVariant ? "variant" : "control";
}

size_t Sweep::comparisons() const {
  size_t count = 0;
  for (const SweepGroup& group : groups)
    if (group.role == Role::kVariant) count += 1 + group.controls.size();
  return count;
}

Sweep plan_sweep(const SweepSettings& settings) {
  return Layout(settings).build();
}

}  // namespace skipattn::experiments
