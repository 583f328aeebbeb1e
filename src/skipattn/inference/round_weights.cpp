#include "skipattn/inference/round_weights.h"

#include <ATen/ATen.h>

namespace skipattn::inference {

void round_to_int8(model::Decoder& decoder) {
  const model::ParameterTable& table = decoder.table();
  for (size_t i = 0; i < table.specs.size(); ++i) {
    const at::Tensor& weight = decoder.parameters()[i];
    if (!table.specs[i].decays || static_cast<int>(i) == table.position_embedding) continue;
    const at::Tensor numbers = weight.to(at::kFloat);
    const at::Tensor scales = numbers.abs().amax(1, /*keepdim=*/true) / 127.0;
    const at::Tensor levels = (numbers / scales.clamp_min(1e-30)).round().clamp(-127, 127);
    decoder.set_parameter(static_cast<int>(i), (levels * scales).to(weight.scalar_type()));
  }
}

}  // namespace skipattn::inference
