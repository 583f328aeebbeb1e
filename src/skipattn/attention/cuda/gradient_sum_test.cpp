#include "skipattn/attention/cuda/gradient_sum.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace skipattn::attention::cuda {
namespace {

at::Tensor some(int64_t heads, int seed) {
  at::manual_seed(seed);
  return at::randn({2, heads, 3, 4}).to(at::kBFloat16);
}
at::Tensor unwritten(int64_t heads, at::ScalarType dtype) {
  return at::full({2, heads, 3, 4}, NAN, dtype);
}

TEST(GradientSum, KeepsAContributionThatIsAll) {
  const at::Tensor like = some(3, 0), whole = some(3, 1).transpose(1, 2).contiguous().transpose(1, 2);
  GradientSum sum(like, {}, {1, 1, 1});
  sum.add({0, 1, 3}, whole);
  const at::Tensor found = sum.finish();
  EXPECT_TRUE(found.is_alias_of(whole) && at::equal(found, whole));
}

TEST(GradientSum, SetsAddsAndClearsHeadByHead) {
  const at::Tensor a = some(3, 1), b = some(2, 2), finished = unwritten(5, at::kBFloat16);
  GradientSum sum(some(5, 0), {.finished = finished}, {1, 2, 0, 1, 1});
  sum.add({0, 1, 2}, a.narrow(1, 0, 2));
  sum.add({1, 2, 2}, b);  // heads 1 and 3: one that has some already, one that has none
  sum.add({4, 1, 1}, a.narrow(1, 2, 1));
  sum.finish();
  EXPECT_TRUE(at::equal(finished.select(1, 0), a.select(1, 0)));
  const at::Tensor both = (a.select(1, 1).to(at::kFloat) + b.select(1, 0).to(at::kFloat)).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(finished.select(1, 1), both));
  EXPECT_EQ(finished.select(1, 2).abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(finished.select(1, 3), b.select(1, 1)));
  EXPECT_TRUE(at::equal(finished.select(1, 4), a.select(1, 2)));
}

TEST(GradientSum, RoundsOnce) {
  const at::Tensor one = at::full({2, 1, 3, 4}, 1.0, at::kBFloat16),
                   tiny = at::full({2, 1, 3, 4}, 0.002, at::kBFloat16);
  GradientSum sum(one, {}, {3});
  for (const at::Tensor& part : {one, tiny, tiny}) sum.add({0, 1, 1}, part);
  EXPECT_GT(sum.finish().max().item<double>(), 1.0);  // each alone would be rounded away
}

TEST(GradientSum, LayersBeforeAndAfter) {
  const at::Tensor a = some(2, 1), b = some(2, 2), c = some(1, 3), total = unwritten(2, at::kFloat);
  GradientSum upper(a, {.sum = total}, {1, 0});  // reads head 0 only
  upper.add({0, 1, 1}, a.narrow(1, 0, 1));
  EXPECT_FALSE(upper.finish().defined());
  EXPECT_EQ(total.select(1, 1).abs().max().item<double>(), 0);
  GradientSum middle(a, {.sum = total, .begun = true}, {1, 1});
  middle.add({0, 1, 2}, b);
  middle.finish();
  const at::Tensor finished = unwritten(2, at::kBFloat16);
  GradientSum own(a, {.sum = total, .begun = true, .finished = finished}, {0, 1});  // reads head 1 only
  own.add({1, 1, 1}, c);
  own.finish();
  const auto sum_of = [](const at::Tensor& x, const at::Tensor& y) {
    return (x.to(at::kFloat) + y.to(at::kFloat)).to(at::kBFloat16);
  };
  EXPECT_TRUE(at::equal(finished.select(1, 0), sum_of(a.select(1, 0), b.select(1, 0))));
  EXPECT_TRUE(at::equal(finished.select(1, 1), sum_of(b.select(1, 1), c.select(1, 0))));
}

TEST(GradientSum, AStepOfZeroIsOneHead) {
  const at::Tensor parts = some(3, 1);
  GradientSum sum(some(2, 0), {}, {0, 1});
  sum.add({1, 0, 3}, parts);
  const at::Tensor found = sum.finish();
  EXPECT_TRUE(at::equal(found.select(1, 1), parts.to(at::kFloat).sum(1).to(at::kBFloat16)));
  EXPECT_EQ(found.select(1, 0).abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace skipattn::attention::cuda
