// Routed attention by fused calls: a problem's heads in few groups, each one dense call over views, their results merged
// and their gradients summed where they belong. Nothing here knows the device: what runs is the choice's.
#pragma once

#include "skipattn/attention/cuda/choice.h"
#include "skipattn/attention/cuda/gradient_sum.h"

namespace skipattn::attention::cuda {

/// `into`: where to write; undefined tensors: made here. Returns what was written. `pattern` of the problem's first_key;
/// null: found here. The problem is checked.
Result routed_forward(const Problem& problem, Choice& choice, const KeyPattern* pattern, const Result& into = {});

/// Where the gradients go.
struct RoutedGradients {
  at::Tensor query = {};                ///< [B, H, T, d]; undefined: made here
  std::vector<GradientTarget> sources;  ///< one per source; without any tensor: made here
};

/// Returns the finished gradients, undefined where layers after add more. The problem and the input are checked.
Gradients routed_backward(const Problem& problem, const BackwardInput& input, Choice& choice, const KeyPattern* pattern,
                          const RoutedGradients& targets);

}  // namespace skipattn::attention::cuda
