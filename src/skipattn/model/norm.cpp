#include "skipattn/model/norm.h"

#include <ATen/ATen.h>

#include "skipattn/core/operation_timer.h"

namespace skipattn::model {

at::Tensor normalize(const at::Tensor& x, const fused::NormParameters& norm, at::ScalarType dtype) {
  const OperationTimer timer("norm forward");
  const at::Tensor wide = x.to(norm.weight.scalar_type());
  if (norm.centred) {
    const std::optional<at::Tensor> shift = norm.bias.defined() ? std::optional<at::Tensor>(norm.bias) : std::nullopt;
    return at::layer_norm(wide, {x.size(-1)}, norm.weight, shift, norm.epsilon).to(dtype);
  }
  const at::Tensor scale = (wide.square().mean(-1, /*keepdim=*/true) + norm.epsilon).rsqrt();
  return (wide * scale * norm.weight).to(dtype);
}

}  // namespace skipattn::model
