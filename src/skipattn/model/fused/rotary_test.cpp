#include "skipattn/model/fused/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "skipattn/model/rotary.h"

namespace skipattn::model::fused {
namespace {

TEST(Rotary, TurnsByPositionAndBack) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t d : {2, 6, 34, 64}) {
      const at::Tensor positions = at::randint(0, 500, {40}, at::kLong);
      const RotaryConfig config{.base = 10000.0, .scaling = "linear", .factor = 2.0};
      const at::Tensor table = rotary_table(500, rotary_frequencies(config, d));
      const at::Tensor outer = at::randn({40, 5 * d + 3}).to(dtype), before = outer.clone();
      const at::Tensor x = outer.narrow(1, 2, 3 * d);  // heads in the middle of wider rows
      rotate(x, positions, table, Turn::kForward);
      const at::Tensor heads = before.narrow(1, 2, 3 * d).to(at::kDouble).reshape({1, 40, 3, d}).transpose(1, 2);
      const at::Tensor exact =
          apply_rotary(heads, rotary_angles(config, d, positions, at::kDouble)).transpose(1, 2).reshape({40, 3 * d});
      const double limit = dtype == at::kFloat ? 1e-5 : 2.1e-2;  // half a unit in the last place at 4
      EXPECT_LT((x.to(at::kDouble) - exact).abs().max().item<double>(), limit) << d;
      EXPECT_TRUE(at::equal(outer.narrow(1, 0, 2), before.narrow(1, 0, 2)));
      EXPECT_TRUE(at::equal(outer.narrow(1, 2 + 3 * d, 2 * d + 1), before.narrow(1, 2 + 3 * d, 2 * d + 1)));
      rotate(x, positions, table, Turn::kBack);
      EXPECT_LT((outer - before).abs().max().item<double>(), 2 * limit);
    }
}

TEST(Rotary, PositionsOutsideTheTableAreRefused) {
  const at::Tensor table = rotary_table(3, {1.0, 0.1});
  EXPECT_THROW(rotate(at::zeros({1, 4}), at::full({1}, 3, at::kLong), table, Turn::kForward), c10::IndexError);
}

}  // namespace
}  // namespace skipattn::model::fused
