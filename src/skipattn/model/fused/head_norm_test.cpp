#include "skipattn/model/fused/head_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace skipattn::model::fused {
namespace {

constexpr double kEpsilon = 1e-3;  // large enough to be missed

struct Answer {
  at::Tensor normed, gradient, weight_gradient;
};

Answer torch_norm(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight, at::ScalarType wide) {
  const at::Tensor input = x.detach().clone().requires_grad_(), scale = weight.detach().to(wide).requires_grad_();
  const at::Tensor heads = input.to(wide).view({x.size(0), -1, weight.size(0)});
  const at::Tensor normed =
      (heads * (heads.square().mean(-1, true) + kEpsilon).rsqrt() * scale).to(x.scalar_type()).view(x.sizes());
  const auto gradients = torch::autograd::grad({normed}, {input, scale}, {dy});
  return {normed.detach(), gradients[0], gradients[1]};
}

double relative_error(const at::Tensor& found, const at::Tensor& exact) {
  return (found.to(at::kDouble) - exact).norm().item<double>() / exact.norm().item<double>();
}

/// Ours over heads in the middle of wider rows.
Answer ours(const at::Tensor& x, const at::Tensor& dy, const at::Tensor& weight, bool add) {
  const auto widened = [](const at::Tensor& inner) {
    const at::Tensor outer = at::full({inner.size(0), inner.size(1) + 5}, 77, inner.options());
    outer.narrow(1, 2, inner.size(1)).copy_(inner);
    return outer;
  };
  const at::Tensor outer = widened(x), outer_gradient = widened(dy);
  const at::Tensor heads = outer.narrow(1, 2, x.size(1)), gradient = outer_gradient.narrow(1, 2, x.size(1));
  const at::Tensor kept = at::empty_like(x), weight_gradient = at::full_like(weight, 3);
  const NormParameters norm{.weight = weight, .epsilon = kEpsilon, .centred = false};
  head_norm_forward(heads, kept, norm);
  EXPECT_TRUE(at::equal(kept, x));
  const at::Tensor normed = heads.clone();
  head_norm_backward({.kept = kept,
                      .gradient = gradient,
                      .weight_gradient = weight_gradient,
                      .add = add,
                      .scratch = at::empty({norm_scratch(weight.size(0))}, at::kFloat)},
                     norm);
  for (const at::Tensor& whole : {outer, outer_gradient}) {
    EXPECT_TRUE((whole.narrow(1, 0, 2) == 77).all().item<bool>());
    EXPECT_TRUE((whole.narrow(1, 2 + x.size(1), 3) == 77).all().item<bool>());
  }
  return {normed, gradient.clone(), add ? weight_gradient - 3 : weight_gradient};
}

TEST(HeadNorm, ForwardAndBackwardAreAsExactAsTorchs) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t d : {1, 6, 17, 64}) {
      at::manual_seed(3);
      const at::Tensor x = (at::randn({70, 3 * d}) * 2).to(dtype), dy = at::randn({70, 3 * d}).to(dtype);
      const at::Tensor weight = at::randn({d}) + 1;
      const Answer exact = torch_norm(x.to(at::kDouble), dy.to(at::kDouble), weight, at::kDouble);
      const Answer naive = torch_norm(x, dy, weight, at::kFloat);
      const double floor = 3e-7;
      for (const bool add : {false, true}) {
        const Answer found = ours(x, dy, weight, add);
        EXPECT_LE(relative_error(found.normed, exact.normed), 2 * relative_error(naive.normed, exact.normed) + floor);
        EXPECT_LE(relative_error(found.gradient, exact.gradient),
                  3 * relative_error(naive.gradient, exact.gradient) + floor);
        EXPECT_LE(relative_error(found.weight_gradient, exact.weight_gradient),
                  3 * relative_error(naive.weight_gradient, exact.weight_gradient) + 1e-6);
      }
    }
}

TEST(HeadNorm, TheSameForAnyNumberOfThreadsBitForBit) {
  const int threads = at::get_num_threads();
  const at::Tensor x = at::randn({300, 48}), dy = at::randn({300, 48}), weight = at::randn({16});
  at::set_num_threads(1);
  const Answer one = ours(x, dy, weight, false);
  at::set_num_threads(3);
  const Answer many = ours(x, dy, weight, false);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.gradient, many.gradient));
  EXPECT_TRUE(at::equal(one.weight_gradient, many.weight_gradient));
}

}  // namespace
}  // namespace skipattn::model::fused
