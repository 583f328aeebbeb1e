// The small steps between the matrix products of a decoded token, on one fp32 row each, on the calling thread. Their
// definitions are in model/ (layer.h, cpu/).
#pragma once

#include <cstdint>

namespace skipattn::inference::cpu {

/// weight and bias fp32 [width]; bias may be null.
struct NormRow {
  const float* weight = nullptr;
  const float* bias = nullptr;
  float epsilon = 1e-5f;
  bool centred = true;  ///< LayerNorm; false: RMSNorm
};
/// output = norm(input), [width]; they may be the same.
void norm_row(const NormRow& norm, const float* input, int64_t width, float* output);

/// x += addend, [count]; addend may be null.
void add_to_row(float* x, const float* addend, int64_t count);
void scale_row(float* x, float factor, int64_t count);

/// x = gelu(x), the tanh form or the exact one.
void gelu_row(float* x, int64_t count, bool exact);
/// gate = silu(gate) * up
void swiglu_row(float* gate, const float* up, int64_t count);

/// Rotary embedding of one head [2 half], angles [2][half]: cosines, then sines. Element i is paired with i + half.
void rotate_row(float* head, const float* angles, int64_t half);

}  // namespace skipattn::inference::cpu
