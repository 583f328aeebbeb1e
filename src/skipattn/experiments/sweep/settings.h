// What a sweep is asked to do: [sweep] of an experiment's TOML file, and the command line.
//
//   [sweep]
//   model.routing = ["baseline", "sla", "skipv1"]      # any key of the file = a list of values; the grid is all of them
//   training.learning_rate = [3e-4, 6e-4, 1e-3]        # with each other
//   data.context = [{value = 1024, training.batch_size = 8}, {value = 4096, training.batch_size = 2}]   # what goes along
//   seeds = 3                                          # words without a dot are the sweep's own:
//   best = ["training.learning_rate"]                  # of these the best value is taken, for every variant its own
//   controls = ["parameters"]                          # plain models of the same size, FLOPs or KV cache beside every variant
//   against = ["model.routing=baseline"]               # what a run is compared with: the same but for this
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "skipattn/experiments/variants.h"

namespace skipattn::experiments {

/// A key and the value it takes in one cell, or all of its values. Keys are those of a run's file; "model.routing.ARGUMENT"
/// (an argument of the routing in force, but for baseline) and "variant" (a text as --variant of compare takes it) too.
using Setting = std::pair<std::string, nlohmann::ordered_json>;
struct SweepAxis {
  std::string key;
  std::vector<nlohmann::ordered_json> values;    ///< 1 or more, distinct
  std::vector<std::vector<Setting>> along = {};  ///< empty, or for every value what is set with it (not part of names)

  /// What goes along with a value; nothing when the axis has no such value.
  std::vector<Setting> along_with(const nlohmann::ordered_json& value) const;
};

/// What a control has in common with its variant.
enum class Budget { kParameters, kFlops, kKvBytes };
/// "parameters", "flops" or "kv_bytes".
std::string budget_name(Budget budget);
/// "equal parameters", "equal FLOPs", "equal KV bytes".
std::string budget_words(Budget budget);
/// InputError naming all three.
Budget parse_budget(const std::string& text);

struct SweepArguments {
  std::filesystem::path config = {};
  std::vector<std::string> grid = {};       ///< KEY=VALUE,VALUE,…; replaces or joins the file's lists
  std::vector<std::string> overrides = {};  ///< KEY=VALUE for all runs
  std::vector<std::string> best = {};       ///< keys; replaces the file's
  std::vector<std::string> controls = {};   ///< replaces the file's
  std::vector<std::string> against = {};    ///< KEY=VALUE; replaces the file's
  int64_t seeds = 0;                        ///< how many; 0: as the file says
};

struct SweepSettings {
  training::RunConfig base;
  std::vector<SweepAxis> axes;  ///< in the order of the file, the first outermost
  std::vector<std::string> best;
  std::vector<Budget> controls;
  std::vector<Setting> against;  ///< empty: as sweep.h says
  std::vector<uint64_t> seeds;
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>> named;  ///< [variants.NAME]
};

/// Reads file and arguments. InputError lists every fault of the [sweep] section.
SweepSettings read_sweep_settings(const SweepArguments& arguments);

/// A value as set_field() takes it and as names show it: text without quotes, everything else as JSON.
std::string setting_text(const nlohmann::ordered_json& value);

}  // namespace skipattn::experiments
