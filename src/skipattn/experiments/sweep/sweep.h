// A sweep: the cells of a grid, what each is compared with, and the runs they are made of. It adds to an Experiment (the runs,
// which compare.h does, resumes and shares) who is compared with whom.
//
//   const Sweep sweep = plan_sweep(read_sweep_settings(arguments));
//   do_runs(sweep.experiment, out, shard, progress);
//   const SweepResults results = collect_sweep(sweep, out, "bf16");       // results.h
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "skipattn/experiments/sweep/settings.h"
#include "skipattn/experiments/variants.h"

namespace skipattn::experiments {

enum class Role {
  kReference,  ///< others are compared with it
  kVariant,
  kControl,  ///< a plain model that spends what a variant spends
};
/// "reference", "variant" or "control".
std::string role_name(Role role);

/// One set of settings, trained under every seed. Its name and overrides are experiment.variants' of the same index.
struct SweepCell {
  std::vector<Setting> settings;  ///< keys as in [sweep]
  Role role = Role::kVariant;
};

/// Cells that differ in the `best` keys only: one of them will speak for all. Without such keys a group has one cell.
struct SweepGroup {
  std::string name;           ///< without the `best` keys
  std::vector<size_t> cells;  ///< ascending
  Role role = Role::kVariant;
  size_t reference = 0;                             ///< group it is compared with; itself when it is one
  std::vector<std::pair<Budget, size_t>> controls;  ///< groups it is compared with at equal budget
};

struct Sweep {
  Experiment experiment;
  std::vector<SweepCell> cells;  ///< as experiment.variants
  std::vector<SweepGroup>
      groups;  ///< a reference, its variants each with its controls behind it, the next reference, …
  std::vector<SweepAxis> axes;
  std::vector<std::string> best;

  size_t comparisons() const;  ///< how many there will be: the size of Holm's family
};

/// Lays out all cells. What a cell is compared with is the cell that has the values of `against` and is else the same; it is
/// added where the grid does not hold it. Without `against` that is model.routing=baseline when any cell has another routing,
/// else the first value of every list. Cells of equal name are one (the baseline has no routing arguments). InputError lists
/// every cell that does not fit the model.
Sweep plan_sweep(const SweepSettings& settings);

}  // namespace skipattn::experiments
