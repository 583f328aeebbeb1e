#include "skipattn/model/rotary.h"

#include <ATen/ATen.h>

#include "skipattn/core/operation_timer.h"

namespace skipattn::model {

RotaryAngles rotary_angles(const RotaryConfig& config, int64_t head_width, const at::Tensor& positions,
                           at::ScalarType dtype) {
  const OperationTimer timer("rotary forward");
  const at::Tensor frequencies = at::tensor(rotary_frequencies(config, head_width), at::kDouble).to(positions.device());
  const at::Tensor rows = positions.dim() == 2 ? positions : positions.unsqueeze(0);
  const at::Tensor angles = rows.to(at::kDouble).unsqueeze(1).unsqueeze(-1) * frequencies;  // [B, 1, T, d/2]
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

at::Tensor apply_rotary(const at::Tensor& x, const RotaryAngles& angles) {
  const OperationTimer timer("rotary forward");
  const std::vector<at::Tensor> halves = x.to(angles.cosine.scalar_type()).chunk(2, -1);
  const at::Tensor first = halves[0] * angles.cosine - halves[1] * angles.sine;
  const at::Tensor second = halves[1] * angles.cosine + halves[0] * angles.sine;
  return at::cat({first, second}, -1).to(x.scalar_type());
}

}  // namespace skipattn::model
