#include "skipattn/model/fused/swiglu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace skipattn::model::fused {
namespace {

struct Answer {
  at::Tensor output, gradient;
};

Answer torch_swiglu(const at::Tensor& gate_up, const at::Tensor& output_gradient) {
  const at::Tensor input = gate_up.detach().clone().requires_grad_();
  const auto halves = input.chunk(2, 1);
  const at::Tensor output = at::silu(halves[0]) * halves[1];
  return {output.detach(), torch::autograd::grad({output}, {input}, {output_gradient})[0]};
}

double relative_error(const at::Tensor& found, const at::Tensor& exact) {
  return (found.to(at::kDouble) - exact).norm().item<double>() / exact.norm().item<double>();
}

TEST(SwiGlu, ForwardAndBackwardAreAsExactAsTorchs) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t width : {1, 17, 344}) {
      at::manual_seed(3);
      const at::Tensor gate_up = (at::randn({70, 2 * width}) * 4).to(dtype), dy = at::randn({70, width}).to(dtype);
      const Answer exact = torch_swiglu(gate_up.to(at::kDouble), dy.to(at::kDouble)), naive = torch_swiglu(gate_up, dy);
      const at::Tensor output = at::empty({70, width}, dtype), again = at::empty_like(output), both = gate_up.clone();
      swiglu_forward(gate_up, output);
      swiglu_backward(both, dy, again);
      EXPECT_TRUE(at::equal(output, again));
      const at::Tensor in_place = gate_up.clone(), gradient = dy.clone();
      swiglu_backward(in_place, gradient, gradient);
      EXPECT_TRUE(at::equal(gradient, output));
      EXPECT_TRUE(at::equal(in_place, both));
      EXPECT_LE(relative_error(output, exact.output), 2 * relative_error(naive.output, exact.output));
      EXPECT_LE(relative_error(both, exact.gradient), 3 * relative_error(naive.gradient, exact.gradient));
    }
}

}  // namespace
}  // namespace skipattn::model::fused
