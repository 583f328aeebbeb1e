// Rotary position embedding (Su et al. 2021) in plain torch operations; fused/rotary.h is the fused form. Element i of a
// head and element i + d/2 are one pair, as in Llama's files.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/rotary_config.h"

namespace skipattn::model {

/// Angles of some tokens, in the precision that heads are turned in.
struct RotaryAngles {
  at::Tensor cosine, sine;  ///< [B or 1, 1, T, d/2]
};

/// Angles of positions int64 [B, T] or [T], worked out in fp64.
RotaryAngles rotary_angles(const RotaryConfig& config, int64_t head_width, const at::Tensor& positions,
                           at::ScalarType dtype);

/// Heads x [B, heads, T, d] turned by their tokens' angles, in x's dtype.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles);

}  // namespace skipattn::model
