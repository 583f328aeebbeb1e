// The heat maps of a sweep over two keys and more. Used inside the module only.
#pragma once

#include <vector>

#include "skipattn/experiments/paper/figures.h"
#include "skipattn/experiments/sweep/results.h"

namespace skipattn::experiments {

/// Paired differences to the reference over the last two keys with two values or more whose best is not taken: one map for
/// each setting of the other keys, named difference_by_KEY_and_KEY and numbered from the second on. None where fewer than two
/// values of both keys are compared with anything.
std::vector<PaperFigure> difference_maps(const SweepResults& results);

/// A key as an axis of a figure names it, with its unit: "context (tokens)"; the key itself where nothing better is known.
/// `values`: all that the axis has; 0.5 of the layers has another unit than 2 of them.
std::string axis_label(const SweepAxis& axis);

}  // namespace skipattn::experiments
