#include "skipattn/model/activation.h"

#include <ATen/ATen.h>

#include "skipattn/core/operation_timer.h"

namespace skipattn::model {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  if (activation == Activation::kSwiGlu) {
    const OperationTimer timer("swiglu forward");
    const std::vector<at::Tensor> parts = x.chunk(2, -1);
    return at::silu(parts[0]) * parts[1];
  }
  const OperationTimer timer("gelu forward");
  return at::gelu(x, activation == Activation::kGelu ? "none" : "tanh");
}

}  // namespace skipattn::model
