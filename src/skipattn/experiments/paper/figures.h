// The figures of a sweep for papers.
#pragma once

#include <string>
#include <vector>

#include "skipattn/experiments/paper/drawing.h"
#include "skipattn/experiments/sweep/results.h"

namespace skipattn::experiments {

struct PaperFigure {
  std::string name;  ///< of its files
  Drawing drawing;
  std::string csv;  ///< every number in it
};

/// Those that the sweep has data for:
/// - differences: every comparison with its interval and seeds;
/// - loss_by_KEY for each swept key of two numbers or more: validation loss, bars are one sd over seeds;
/// - difference_by_KEY, unless the best value of that key is taken: paired difference to the reference, bars are 95 % intervals;
/// - difference_by_KEY_and_KEY: the same differences as a heat map over two keys (difference_maps.h);
/// - validation_loss: mean over seeds by tokens trained on, of the chosen cells;
/// - difference_by_position: paired difference to the reference by position in the window, bars are 95 % intervals.
std::vector<PaperFigure> paper_figures(const SweepResults& results);

}  // namespace skipattn::experiments
