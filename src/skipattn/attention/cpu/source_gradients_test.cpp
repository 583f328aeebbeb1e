#include "skipattn/attention/cpu/source_gradients.h"

#include <gtest/gtest.h>

namespace skipattn::attention::cpu {
namespace {

Problem make_problem(const HeadPairs& pairs) {
  const auto zeros = [](int64_t heads) { return at::zeros({1, heads, 8, 4}, at::kBFloat16); };
  return {zeros(4), {zeros(2), zeros(2)}, pairs, {}};
}

TEST(SourceGradients, SumsInFp32AndRoundsOnce) {
  // Adding 1 to 256 in bf16 gives 256.
  const at::Tensor one = at::ones({1, 1, 8, 4}, at::kBFloat16);
  SourceGradients shared_head(make_problem({{{0, 0, 1, 0}}, {{0, 0, 1, 1}}}), false);
  SourceGradients overlapping_keys(make_problem({{{0, 0, 1, 0}}, {{0, 1, 1, 1}}}), true);
  for (SourceGradients* gradients : {&shared_head, &overlapping_keys}) {
    for (int i = 0; i < 300; ++i) gradients->add({0, 0, 0, 0}, one);
    const at::Tensor sum = gradients->finish()[0];
    EXPECT_EQ(sum.scalar_type(), at::kBFloat16);
    EXPECT_EQ(sum.select(1, 0).min().item<double>(), 300);
    EXPECT_EQ(sum.select(1, 1).abs().max().item<double>(), 0);
  }
}

TEST(SourceGradients, PlacesEachContribution) {
  SourceGradients gradients(make_problem({{{0, 0, 1, 0}}, {{0, 1, 1, 1}}}), false);
  gradients.add({1, 1, 0, 3}, at::full({1, 1, 2, 4}, 5.0, at::kBFloat16));
  const std::vector<at::Tensor> sources = gradients.finish();
  EXPECT_EQ(sources[0].sum().item<double>(), 0);
  EXPECT_EQ(sources[1].sum().item<double>(), 5 * 8);
  EXPECT_EQ(sources[1].select(1, 1).narrow(1, 3, 2).min().item<double>(), 5);
  EXPECT_EQ(sources[1].stride(1), 4);  // heads inner
}

}  // namespace
}  // namespace skipattn::attention::cpu
