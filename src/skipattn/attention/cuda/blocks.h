// The definition in fp32 (fp64), some queries at a time: what no fused implementation takes (fp64, dropout, rare widths and
// masks) runs anywhere torch does, slowly and without T x S scores in memory.
#pragma once

#include "skipattn/attention/problem.h"

namespace skipattn::attention::cuda {

/// Scores of one KV head's query heads and one pair that a block may have (256 MiB of fp32).
inline constexpr int64_t kBlockScores = int64_t{1} << 26;

/// Both expect checked arguments.
Result blocks_forward(const Problem& problem, int64_t block_scores = kBlockScores);
Gradients blocks_backward(const Problem& problem, const BackwardInput& input, int64_t block_scores = kBlockScores);

}  // namespace skipattn::attention::cuda
