#include "skipattn/model/fused/layer_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "skipattn/model/fused/column_sums.h"

namespace skipattn::model::fused {
namespace {

struct Case {
  int64_t rows, width;
  at::ScalarType dtype;
  bool bias, branch;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t width : {1, 15, 16, 51, 768, 1601})
      for (const bool flag : {false, true}) all.push_back({width > 700 ? 37 : 2100, width, dtype, flag, !flag});
  return all;
}

/// What a call reads, and the same in fp64 as the exact answer's input.
struct Data {
  explicit Data(const Case& c) {
    at::manual_seed(6);
    residual = at::randn({c.rows, c.width}) * 3 + 1;
    branch = at::randn({c.rows, c.width}).to(c.dtype);
    norm.weight = at::randn({c.width});
    if (c.bias) norm.bias = at::randn({c.width});
    output_gradient = at::randn({c.rows, c.width}).to(c.dtype);
    before = at::randn({c.rows, c.width});
  }
  at::Tensor residual, branch, output_gradient, before;
  NormParameters norm;
};

double relative_error(const at::Tensor& found, const at::Tensor& exact) {
  return (found.to(at::kDouble) - exact).norm().item<double>() / std::max(1e-30, exact.norm().item<double>());
}

at::Tensor torch_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
  return at::layer_norm(x, {x.size(1)}, weight, bias.defined() ? std::optional(bias) : std::nullopt, epsilon);
}

TEST(LayerNorm, ForwardIsAsExactAsTorch) {
  for (const Case& c : cases()) {
    const Data data(c);
    const at::Tensor sum = at::empty({c.rows, c.width}), normed = at::empty({c.rows, c.width}, c.dtype);
    NormForward call{.residual = data.residual, .normed = normed, .statistics = at::empty({c.rows, 2})};
    if (c.branch) call.branch = data.branch, call.sum = sum;
    layer_norm_forward(call, data.norm);

    const at::Tensor input = c.branch ? data.residual + data.branch : data.residual;
    if (c.branch) {
      EXPECT_TRUE(at::equal(sum, input));
    }
    const at::Tensor bias = c.bias ? data.norm.bias.to(at::kDouble) : at::Tensor();
    const at::Tensor exact = torch_norm(input.to(at::kDouble), data.norm.weight.to(at::kDouble), bias, 1e-5);
    const at::Tensor naive = torch_norm(input, data.norm.weight, data.norm.bias, 1e-5).to(c.dtype);
    EXPECT_LE(relative_error(normed, exact), 2 * relative_error(naive, exact) + 1e-7) << c.rows << "x" << c.width;
  }
}

TEST(LayerNorm, BackwardIsAsExactAsTorch) {
  for (const Case& c : cases()) {
    if (c.width == 1) continue;  // its gradient is zero but for rounding
    const Data data(c);
    const at::Tensor statistics = at::empty({c.rows, 2}), normed = at::empty({c.rows, c.width}, c.dtype);
    layer_norm_forward({.residual = data.residual, .normed = normed, .statistics = statistics}, data.norm);
    const at::Tensor gradient = data.before.clone(), rounded = at::empty_like(normed), again = at::empty_like(normed);
    const at::Tensor weight_gradient = at::ones({c.width}), bias_gradient = at::ones({c.width});
    layer_norm_backward({.input = data.residual,
                         .statistics = statistics,
                         .normed_gradient = data.output_gradient,
                         .gradient = gradient,
                         .rounded = rounded,
                         .normed = again,
                         .weight_gradient = weight_gradient,
                         .bias_gradient = bias_gradient,
                         .add = true,
                         .scratch = at::empty({norm_scratch(c.width)})},
                        data.norm);
    EXPECT_TRUE(at::equal(rounded, gradient.to(c.dtype)));
    EXPECT_LE(relative_error(again, normed.to(at::kDouble)), c.dtype == at::kFloat ? 1e-6 : 1e-4);

    const auto exact_of = [&](at::ScalarType type) {
      std::vector<at::Tensor> inputs = {data.residual.to(type), data.norm.weight.to(type),
                                        c.bias ? data.norm.bias.to(type) : at::zeros({c.width}, type)};
      for (at::Tensor& input : inputs) input = input.detach().clone().requires_grad_();
      const at::Tensor y = torch_norm(inputs[0], inputs[1], inputs[2], 1e-5);
      return torch::autograd::grad({y}, inputs, {data.output_gradient.to(type)});
    };
    const auto exact = exact_of(at::kDouble), naive = exact_of(at::kFloat);
    const std::vector<at::Tensor> found = {gradient - data.before, weight_gradient - 1, bias_gradient - 1};
    for (int i = 0; i < 3; ++i)
      EXPECT_LE(relative_error(found[i], exact[i]), 3 * relative_error(naive[i], exact[i]) + 5e-7)
          << i << " of " << c.rows << "x" << c.width;
  }
}

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(1, /*keepdim=*/true) + 1e-5).rsqrt() * weight;
}

TEST(LayerNorm, WithoutTheMeanItIsRmsNorm) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Case c{70, 51, dtype, false, false};
    Data data(c);
    data.norm.centred = false;
    const at::Tensor statistics = at::empty({c.rows, 2}), normed = at::empty({c.rows, c.width}, dtype);
    layer_norm_forward({.residual = data.residual, .normed = normed, .statistics = statistics}, data.norm);
    const at::Tensor gradient = at::empty({c.rows, c.width}), weight_gradient = at::empty({c.width});
    layer_norm_backward({.input = data.residual,
                         .statistics = statistics,
                         .normed_gradient = data.output_gradient,
                         .gradient = gradient,
                         .first = true,
                         .weight_gradient = weight_gradient,
                         .scratch = at::empty({norm_scratch(c.width)})},
                        data.norm);
    const auto plain = [&](at::ScalarType type) {
      const std::vector<at::Tensor> inputs = {data.residual.to(type).detach().clone().requires_grad_(),
                                              data.norm.weight.to(type).detach().clone().requires_grad_()};
      const at::Tensor y = plain_rms_norm(inputs[0], inputs[1]);
      auto results = torch::autograd::grad({y}, inputs, {data.output_gradient.to(type)});
      results.push_back(y.detach());
      return results;
    };
    const auto exact = plain(at::kDouble), naive = plain(at::kFloat);
    EXPECT_LE(relative_error(gradient, exact[0]), 3 * relative_error(naive[0], exact[0]));
    EXPECT_LE(relative_error(weight_gradient, exact[1]), 3 * relative_error(naive[1], exact[1]));
    EXPECT_LE(relative_error(normed, exact[2]), 2 * relative_error(naive[2].to(dtype), exact[2]));
  }
}

TEST(LayerNorm, ColumnsOfTheRoundedGradientAreSummedInPassing) {
  if (!sums_in_passing(at::kCPU)) GTEST_SKIP() << "the CPU's products sum columns";
  for (const Case& c : cases()) {
    const Data data(c);
    const at::Tensor statistics = at::empty({c.rows, 2}), normed = at::empty({c.rows, c.width}, c.dtype);
    layer_norm_forward({.residual = data.residual, .normed = normed, .statistics = statistics}, data.norm);
    const at::Tensor gradient = data.before.clone(), sums = at::ones({c.width});
    layer_norm_backward({.input = data.residual,
                         .statistics = statistics,
                         .normed_gradient = data.output_gradient,
                         .gradient = gradient,
                         .rounded = at::empty_like(normed),
                         .rounded_sums = sums,
                         .weight_gradient = at::zeros({c.width}),
                         .bias_gradient = at::zeros({c.width}),
                         .add = true,
                         .scratch = at::empty({norm_scratch(c.width)})},
                        data.norm);
    EXPECT_LT(relative_error(sums - 1, gradient.to(at::kDouble).sum(0)), 1e-5) << c.rows << "x" << c.width;
  }
}

TEST(LayerNorm, SumsDoNotDependOnTheNumberOfThreads) {
  const Case c{2100, 51, at::kFloat, true, false};
  const Data data(c);
  const at::Tensor statistics = at::empty({c.rows, 2}), normed = at::empty({c.rows, c.width});
  layer_norm_forward({.residual = data.residual, .normed = normed, .statistics = statistics}, data.norm);
  const int threads = at::get_num_threads();
  at::Tensor first;
  for (const int count : {1, 2, 7}) {
    at::set_num_threads(count);
    const at::Tensor weight_gradient = at::empty({c.width}), bias_gradient = at::empty({c.width});
    layer_norm_backward({.input = data.residual,
                         .statistics = statistics,
                         .normed_gradient = data.output_gradient,
                         .gradient = at::empty({c.rows, c.width}),
                         .first = true,
                         .weight_gradient = weight_gradient,
                         .bias_gradient = bias_gradient,
                         .scratch = at::empty({norm_scratch(c.width)})},
                        data.norm);
    const at::Tensor both = at::cat({weight_gradient, bias_gradient});
    if (!first.defined()) first = both;
    EXPECT_TRUE(at::equal(both, first));
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace skipattn::model::fused
