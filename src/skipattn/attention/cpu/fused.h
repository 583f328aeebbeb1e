// The operator on torch's fused attention: runs of heads x blocks of queries x ranges of keys x
// pairs, each a dense tile, merged by their logsumexps. Never holds T x S and copies no keys or
// values.
#pragma once

#include "skipattn/attention/problem.h"

namespace skipattn::attention::cpu {

/// Both expect checked arguments.
Result fused_forward(const Problem& problem);
Gradients fused_backward(const Problem& problem, const BackwardInput& input);

}  // namespace skipattn::attention::cpu
