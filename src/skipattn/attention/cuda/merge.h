// Puts the results of the calls of one problem together: copies heads that one call did alone, merges those that several
// did (joint sources) by their logsumexps.
#pragma once

#include <vector>

#include "skipattn/attention/cuda/grouping.h"
#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::cuda {

/// What one call made.
struct Part {
  HeadRange heads;  ///< KV heads
  Result result;    ///< output [B, heads.count * group, T, d], logsumexp [B, heads.count * group, T]
};

/// Writes the softmax over the keys of all parts into output [B, H, T, d] and logsumexp [B, H, T]; zeros and -inf for heads
/// that no part has. `group`: query heads of one KV head.
void merge_parts(const std::vector<Part>& parts, int64_t group, const Result& into);

}  // namespace skipattn::attention::cuda
