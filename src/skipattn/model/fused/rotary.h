// Rotary position embedding (Su et al. 2021), in place, in the layout of Llama's files: element i of a head is paired with
// element i + d/2, and the pair is turned by position * frequency[i]. ../rotary.h is the plain form.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace skipattn::model::fused {

/// fp32 [positions, 2, d/2]: cosines, then sines, of every position's angles (computed in fp64).
/// frequencies [d/2]: radians per position of each pair (rotary_config.h).
at::Tensor rotary_table(int64_t positions, const std::vector<double>& frequencies);

/// Which way to turn: a gradient is turned back.
enum class Turn { kForward, kBack };

/// Turns all heads of x [N, heads * d] (fp32 or bf16, rows contiguous, any row stride) by the angles of positions int64 [N].
void rotate(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& table, Turn turn);

}  // namespace skipattn::model::fused
