#include "skipattn/model/matmul.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

namespace skipattn::model {
namespace {

struct Sizes {
  int64_t n, i, o;
};

/// Around every edge: of units, tiles, panels, packed pieces, blocks of k and tasks.
std::vector<Sizes> sizes_at_edges() {
  return {{1, 1, 1},     {2, 3, 5},      {11, 12, 31},   {12, 32, 32},   {13, 33, 33},    {25, 15, 64},  {100, 77, 97},
          {193, 64, 65}, {255, 256, 48}, {257, 259, 40}, {385, 130, 70}, {1025, 31, 129}, {37, 3090, 9}, {9, 20, 3100}};
}

/// A matrix inside a larger one, poisoned around: strides and ends matter.
at::Tensor inside(const at::Tensor& values, at::ScalarType dtype) {
  const at::Tensor outer = at::full({values.size(0) + 2, values.size(1) + 7}, std::numeric_limits<double>::quiet_NaN(),
                                    at::TensorOptions(dtype));
  at::Tensor view = outer.narrow(0, 1, values.size(0)).narrow(1, 3, values.size(1));
  view.copy_(values);
  return view;
}

/// Largest error relative to what the sums' terms add up to.
double error(const at::Tensor& found, const at::Tensor& exact, const at::Tensor& magnitude) {
  return ((found.to(at::kDouble) - exact).abs() / (magnitude + 1e-30)).max().item<double>();
}

class Matmul : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(4); }
  at::Tensor random(int64_t rows, int64_t columns) const {
    return inside(at::randn({rows, columns}, at::kDouble), GetParam());
  }
  bool bf16() const { return GetParam() == at::kBFloat16; }
  double narrow_limit() const { return bf16() ? 4.1e-3 : 2e-6; }  // rounding of the result
  static constexpr double kLimit = 2e-6;                          // of fp32 sums
};

at::Tensor wide(const at::Tensor& x) {
  return x.to(at::kDouble);
}

TEST_P(Matmul, Forward) {
  for (const Sizes& s : sizes_at_edges())
    for (const bool with_bias : {true, false}) {
      const at::Tensor x = random(s.n, s.i), w = random(s.o, s.i);
      const at::Tensor b = with_bias ? at::randn({s.o}).to(GetParam()) : at::Tensor();
      at::Tensor y = inside(at::zeros({s.n, s.o}), GetParam());
      linear_forward(y, x, w, b);
      at::Tensor exact = at::mm(wide(x), wide(w).t()), magnitude = at::mm(wide(x).abs(), wide(w).abs().t());
      if (with_bias) exact += wide(b), magnitude += wide(b).abs();
      EXPECT_LT(error(y, exact, magnitude), narrow_limit()) << s.n << " " << s.i << " " << s.o;
    }
}

TEST_P(Matmul, InputGradient) {
  for (const Sizes& s : sizes_at_edges()) {
    const at::Tensor dy = random(s.n, s.o), w = random(s.o, s.i);
    at::Tensor dx = inside(at::zeros({s.n, s.i}), GetParam());
    linear_input_gradient(dx, dy, w);
    EXPECT_LT(error(dx, at::mm(wide(dy), wide(w)), at::mm(wide(dy).abs(), wide(w).abs())), narrow_limit())
        << s.n << " " << s.i << " " << s.o;
  }
}

TEST_P(Matmul, WeightGradientSetsOrAdds) {
  for (const Sizes& s : sizes_at_edges())
    for (const bool add : {false, true}) {
      const at::Tensor dy = random(s.n, s.o), x = random(s.n, s.i);
      const double before = add ? 3.0 : 0.0;
      const LinearGradient to = {at::full({s.o, s.i}, 3.0f), at::full({s.o}, 3.0f), add};
      linear_weight_gradient(to, dy, x);
      EXPECT_LT(error(to.weight, at::mm(wide(dy).t(), wide(x)) + before, at::mm(wide(dy).abs().t(), wide(x).abs()) + 3),
                bf16() ? kLimit : kLimit);
      EXPECT_LT(error(to.bias, wide(dy).sum(0) + before, wide(dy).abs().sum(0) + 3), kLimit);
    }
}

TEST_P(Matmul, TheSameForAnyNumberOfThreadsBitForBit) {
  const at::Tensor x = random(700, 300), w = random(500, 300), dy = random(700, 500);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> first;
  for (const int count : {1, 2, 5}) {
    at::set_num_threads(count);
    at::Tensor y = at::empty({700, 500}, GetParam()), dx = at::empty({700, 300}, GetParam());
    const LinearGradient to = {at::empty({500, 300}), at::empty({500})};
    linear_forward(y, x, w, {});
    linear_input_gradient(dx, dy, w);
    linear_weight_gradient(to, dy, x);
    const std::vector<at::Tensor> results = {y, dx, to.weight, to.bias};
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(at::equal(results[i], first[i])) << i;
  }
  at::set_num_threads(threads);
}

INSTANTIATE_TEST_SUITE_P(Types, Matmul, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& type) { return type.param == at::kFloat ? "fp32" : "bf16"; });

}  // namespace
}  // namespace skipattn::model
