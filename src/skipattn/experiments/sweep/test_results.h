// For tests: results of sweeps that were never run.
#pragma once

#include <cmath>
#include <string>

#include "skipattn/experiments/sweep/results.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::experiments {

/// A planned sweep, its runs' losses made up by `loss(name, seed)`; NaN: not run. `routing`: of [model].
template <typename Loss>
SweepResults results_of(const std::string& sweep, const Loss& loss, const std::string& routing = "baseline") {
  const io::TestFolder folder;
  SweepArguments arguments;
  arguments.config = folder.write("e.toml", "[model]\nname = \"gpt2-tiny\"\nrouting = \"" + routing +
                                                "\"\n[data]\ntrain = \"t.bin\"\nval = \"v.bin\"\n" + sweep);
  SweepResults results;
  results.sweep = plan_sweep(read_sweep_settings(arguments));
  for (const Variant& variant : results.sweep.experiment.variants) {
    CellResult cell;
    cell.figures.name = variant.name;
    cell.figures.routing = "made up";
    cell.figures.parameters = 1000;
    cell.flops_per_token_forward = 100;
    for (const uint64_t seed : results.sweep.experiment.seeds) {
      SeedRun run;
      run.seed = seed;
      run.val_loss = loss(variant.name, seed);
      if (std::isnan(run.val_loss)) run.problem = "not run to its end yet";
      run.validation = {{1, 10, 5.0}, {2, 20, run.val_loss}};
      run.by_window_position = {{0, 1, run.val_loss}, {1, 4, run.val_loss - 1}};
      cell.figures.runs.push_back(run);
    }
    results.cells.push_back(cell);
  }
  compare_cells(results);
  return results;
}

/// What pairs differ by beside their mean difference: ± 0.003.
inline double noise(uint64_t seed) {
  return seed % 2 == 0 ? 0.003 : -0.003;
}

}  // namespace skipattn::experiments
