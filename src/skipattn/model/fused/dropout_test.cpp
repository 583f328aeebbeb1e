#include "skipattn/model/fused/dropout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::model::fused {
namespace {

TEST(Dropout, KeepsTheShareAskedForAndDependsOnSeedAndPlaceAlone) {
  const at::Tensor mask = at::empty({300, 777}), other = at::empty({300, 777}), part = at::empty({100, 777});
  dropout_mask(mask, 0.2, 5);
  EXPECT_TRUE(mask.eq(0).logical_or(mask.eq(1)).all().item<bool>());
  EXPECT_NEAR(mask.mean().item<double>(), 0.8, 0.004);  // four deviations
  dropout_mask(part, 0.2, 5);
  EXPECT_TRUE(at::equal(mask.narrow(0, 0, 100), part));
  dropout_mask(other, 0.2, 6);
  EXPECT_NEAR((mask * other).mean().item<double>(), 0.64, 0.006);  // another seed: independent
  EXPECT_NEAR((mask.narrow(0, 0, 299) * mask.narrow(0, 1, 299)).mean().item<double>(), 0.64, 0.006);
  EXPECT_NEAR((mask.narrow(1, 0, 776) * mask.narrow(1, 1, 776)).mean().item<double>(), 0.64, 0.006);
}

TEST(Dropout, InPlaceIsTheMaskAndTheScale) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({33, 51}).to(dtype), dropped = x.clone(), mask = at::empty({33, 51});
    drop_in_place(dropped, 0.3, 9);
    dropout_mask(mask, 0.3, 9);
    const at::Tensor expected = (x * mask / 0.7f).to(dtype);
    EXPECT_TRUE(at::allclose(dropped, expected, dtype == at::kFloat ? 1e-6 : 1e-2, 0));
  }
}

}  // namespace
}  // namespace skipattn::model::fused
