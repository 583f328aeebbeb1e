#include "skipattn/model/cpu/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::model::cpu {
namespace {

/// As its paper and Llama's files have it: x cos + turned(x) sin, turned(x) = (-second half, first half).
at::Tensor reference(const at::Tensor& x, const at::Tensor& positions, int64_t d, double base) {
  const at::Tensor wide = x.to(at::kDouble).view({x.size(0), -1, d});
  const at::Tensor frequency = at::pow(base, at::arange(0, d, 2, at::kDouble) / -static_cast<double>(d));
  const at::Tensor angle = at::cat({frequency, frequency}) * positions.to(at::kDouble).unsqueeze(1);  // [N, d]
  const auto halves = wide.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return (wide * angle.cos().unsqueeze(1) + turned * angle.sin().unsqueeze(1)).view(x.sizes());
}

TEST(Rotary, TurnsByPositionAndBack) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t d : {2, 6, 34, 64}) {
      const at::Tensor positions = at::randint(0, 500, {40}, at::kLong), table = rotary_table(500, d, 10000.0);
      const at::Tensor outer = at::randn({40, 5 * d + 3}).to(dtype), before = outer.clone();
      const at::Tensor x = outer.narrow(1, 2, 3 * d);  // heads in the middle of wider rows
      rotate(x, positions, table, Turn::kForward);
      const at::Tensor exact = reference(before.narrow(1, 2, 3 * d).contiguous(), positions, d, 10000.0);
      const double limit = dtype == at::kFloat ? 1e-5 : 2.1e-2;  // half a unit in the last place at 4
      EXPECT_LT((x.to(at::kDouble) - exact).abs().max().item<double>(), limit) << d;
      EXPECT_TRUE(at::equal(outer.narrow(1, 0, 2), before.narrow(1, 0, 2)));
      EXPECT_TRUE(at::equal(outer.narrow(1, 2 + 3 * d, 2 * d + 1), before.narrow(1, 2 + 3 * d, 2 * d + 1)));
      rotate(x, positions, table, Turn::kBack);
      EXPECT_LT((outer - before).abs().max().item<double>(), 2 * limit);
    }
}

TEST(Rotary, OddWidthsAndPositionsOutsideAreRefused) {
  EXPECT_THROW(rotary_table(3, 5, 10000.0), c10::ValueError);
  EXPECT_THROW(rotate(at::zeros({1, 4}), at::full({1}, 3, at::kLong), rotary_table(3, 4, 1e4), Turn::kForward),
               c10::IndexError);
}

}  // namespace
}  // namespace skipattn::model::cpu
