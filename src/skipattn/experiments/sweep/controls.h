// Controls: plain models that may spend what a variant spends. A routing that drops projections makes a model smaller; is it
// then worse or better than a plain model of that size?
#pragma once

#include <vector>

#include "skipattn/experiments/sweep/settings.h"
#include "skipattn/training/run_config.h"

namespace skipattn::experiments {

/// What to set over `reference` so that it spends as much as `variant` does:
/// - kParameters, kFlops (forward, at data.context): another model.mlp_width;
/// - kKvBytes: a narrower model.head_width, and then the model.mlp_width that makes the parameters equal too, so that the
///   control is as strong as a plain model of that cache and size.
/// Widths are whole numbers, so it fits to a part of one hidden unit, or of one number of head width, a layer; a multiple of 8
/// is taken where that is within 0.1 %. Empty when nothing has to change. Both are finished configs. InputError when no width
/// can make them equal (the variant spends less than the reference does without any MLP).
std::vector<Setting> matching_control(const training::RunConfig& variant, const training::RunConfig& reference,
                                      Budget budget);

}  // namespace skipattn::experiments
