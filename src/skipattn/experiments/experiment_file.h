// What compare and sweep both read from an experiment's TOML file: seeds, [variants.NAME], values as text. Used inside the
// module only.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "skipattn/experiments/variants.h"

namespace skipattn::experiments {

using Overrides = std::vector<std::pair<std::string, std::string>>;
using NamedOverrides = std::map<std::string, Overrides>;

/// `seeds = 3` or `seeds = [1, 5, 9]`.
struct SeedChoice {
  std::vector<uint64_t> list;
  int64_t count = 0;
};

/// The file's tables. The file has been read by read_run_config() before, which reports what is no TOML.
toml::table parse_experiment_file(const std::filesystem::path& file);

/// A value as set_field() takes it.
std::string value_text(const toml::node& node);

/// Paths among data files and tokenizers are relative to the file's folder; every other value is returned as it is.
std::string resolved_value(const std::string& key, const std::string& value, const std::filesystem::path& folder);

/// Every [variants.NAME]; it holds section tables ("model.routing = …" is one written short).
NamedOverrides read_named_overrides(const toml::table& table, const std::filesystem::path& file);

/// `section` names the key in errors: "compare".
SeedChoice read_seeds(const std::string& section, const toml::node& node);

/// The seeds meant: `asked` of the command line (0: none) before the file's, counted from `first` on.
std::vector<uint64_t> choose_seeds(int64_t asked, const SeedChoice& choice, int64_t first);

/// "NAME[:KEY=VALUE,…]". A name that [variants] does not hold is itself the routing.
Variant parse_variant(const std::string& text, const NamedOverrides& named);

}  // namespace skipattn::experiments
