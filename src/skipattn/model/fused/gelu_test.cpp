#include "skipattn/model/fused/gelu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

namespace skipattn::model::fused {
namespace {

/// Value and slope at every element: torch's.
std::pair<at::Tensor, at::Tensor> torch_gelu(const at::Tensor& x, bool exact) {
  const at::Tensor input = x.detach().clone().requires_grad_();
  const at::Tensor y = at::gelu(input, exact ? "none" : "tanh");
  return {y.detach(), torch::autograd::grad({y}, {input}, {at::ones_like(y)})[0]};
}

/// Largest error, relative to the size of the value or of the input where the value vanishes.
double error(const at::Tensor& found, const at::Tensor& expected, const at::Tensor& x) {
  const at::Tensor scale = at::maximum(expected.abs(), x.abs().clamp_max(1.0) * 1e-3) + 1e-6;
  return ((found.to(at::kDouble) - expected).abs() / scale).max().item<double>();
}

TEST(Gelu, BothFormsAndTheirSlopesAreTorchs) {
  for (const bool exact : {false, true})
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
      for (const int64_t count : {1, 17, 40001}) {
        const at::Tensor x = (at::linspace(-14, 14, count, at::kDouble)).to(dtype);
        const at::Tensor y = at::empty_like(x), dy = at::full_like(x, 2), again = at::empty_like(x);
        gelu_forward(x, y, exact);
        gelu_backward(x, dy, again, exact);
        const auto [value, slope] = torch_gelu(x.to(at::kDouble), exact);
        const double limit = dtype == at::kFloat ? 1e-4 : 4.5e-3;
        EXPECT_LT(error(y, value, x.to(at::kDouble)), limit);
        EXPECT_LT(error(dy.to(at::kDouble) / 2, slope, at::ones({1}, at::kDouble)), limit);
        EXPECT_TRUE(at::equal(again, y));
      }
}

TEST(Gelu, Fp32ErrorIsThatOfTorchsFp32) {
  for (const bool exact : {false, true}) {
    at::manual_seed(2);
    const at::Tensor x = at::randn({100000}) * 2, y = at::empty_like(x), dy = at::ones_like(x),
                     again = at::empty_like(x);
    gelu_forward(x, y, exact);
    gelu_backward(x, dy, again, exact);
    const auto [value, slope] = torch_gelu(x.to(at::kDouble), exact);
    const auto [naive_value, naive_slope] = torch_gelu(x, exact);
    const auto distance = [](const at::Tensor& a, const at::Tensor& b) {
      return (a.to(at::kDouble) - b).norm().item<double>() / b.norm().item<double>();
    };
    EXPECT_LT(distance(y, value), 2 * distance(naive_value, value));
    EXPECT_LT(distance(dy, slope), 3 * distance(naive_slope, slope));
  }
}

TEST(Gelu, OutputMayBeTheInputAndNaNStays) {
  for (const bool exact : {false, true}) {
    at::Tensor x = at::randn({100}), dy = at::ones({100});
    x[3] = std::numeric_limits<float>::quiet_NaN();
    const at::Tensor expected = at::gelu(x, exact ? "none" : "tanh");
    gelu_backward(x, dy, x, exact);
    EXPECT_TRUE(at::allclose(x, expected, 1e-5, 1e-6, /*equal_nan=*/true));
    EXPECT_TRUE(at::isnan(dy).equal(at::isnan(expected)));
  }
}

TEST(Gelu, ColumnsAreSummedInPassing) {
  if (!sums_in_passing(at::kCPU)) GTEST_SKIP() << "the CPU's products sum columns";
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {700, 24}, {30, 301}, {5, 512}}) {
      at::manual_seed(4);
      const at::Tensor x = at::randn({rows, columns}).to(dtype), dy = at::randn({rows, columns}).to(dtype);
      const at::Tensor plain = dy.clone(), plain_again = at::empty_like(x), passing = dy.clone(), again = x.clone();
      const at::Tensor sums = at::ones({columns});
      gelu_backward(x, plain, plain_again, /*exact=*/false);
      gelu_backward(again, passing, again, /*exact=*/false, {.to = sums, .add = true});
      EXPECT_TRUE(at::equal(passing, plain));
      EXPECT_TRUE(at::equal(again, plain_again));
      const double limit = dtype == at::kFloat ? 1e-4 : 1e-2 * std::sqrt(static_cast<double>(rows));
      EXPECT_LT((sums - 1 - plain.to(at::kFloat).sum(0)).abs().max().item<double>(), limit) << rows << "x" << columns;
      gelu_backward(x, dy, again, /*exact=*/false, {.to = sums});  // set, not added
      EXPECT_LT((sums - plain.to(at::kFloat).sum(0)).abs().max().item<double>(), limit);
    }
}

}  // namespace
}  // namespace skipattn::model::fused
