#include "skipattn/attention/cuda/merge.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/problem.h"

namespace skipattn::attention::cuda {
namespace {

using attention::test::max_difference;

Result softmax_of(const at::Tensor& scores, const at::Tensor& values) {
  return {at::matmul(at::softmax(scores, -1).nan_to_num(0), values), at::logsumexp(scores, -1)};
}

Result empty_result(int64_t heads, at::ScalarType dtype = at::kDouble) {
  return {empty_heads_inner(at::IntArrayRef({2, heads, 5, 3}), at::TensorOptions(dtype)).fill_(NAN),
          at::full({2, heads, 5}, NAN, dtype == at::kDouble ? at::kDouble : at::kFloat)};
}

TEST(Merge, IsTheSoftmaxOverAllKeys) {
  at::manual_seed(1);
  const at::Tensor a = at::randn({2, 4, 5, 6}, at::kDouble) * 30, b = at::randn({2, 4, 5, 7}, at::kDouble) * 30;
  const at::Tensor u = at::randn({2, 4, 6, 3}, at::kDouble), v = at::randn({2, 4, 7, 3}, at::kDouble);
  a.select(2, 1).fill_(-INFINITY);  // one part sees nothing
  a.select(2, 3).fill_(-INFINITY);  // nor does
  b.select(2, 3).fill_(-INFINITY);  // the other here
  const Result whole = softmax_of(at::cat({a, b}, -1), at::cat({u, v}, 2));
  const Result merged = empty_result(4);
  merge_parts({{{0, 1, 2}, softmax_of(a, u)}, {{0, 1, 2}, softmax_of(b, v)}}, 2, merged);
  EXPECT_LT(max_difference(merged.output, whole.output), 1e-14);
  EXPECT_LT(max_difference(merged.logsumexp, whole.logsumexp), 1e-13);
  EXPECT_EQ(merged.output.select(2, 3).abs().max().item<double>(), 0);
  EXPECT_EQ(merged.logsumexp.select(2, 3).max().item<double>(), -INFINITY);
}

TEST(Merge, CopiesWhatOnePartDidAndClearsWhatNoneDid) {
  const Result even{at::randn({2, 2, 5, 3}).to(at::kBFloat16), at::randn({2, 2, 5})};
  const Result merged = empty_result(5, at::kBFloat16);
  merge_parts({{{0, 2, 2}, even}}, 1, merged);  // heads 0 and 2 of 5
  EXPECT_TRUE(at::equal(merged.output.slice(1, 0, 3, 2), even.output));
  EXPECT_TRUE(at::equal(merged.logsumexp.slice(1, 0, 3, 2), even.logsumexp));
  for (const int64_t head : {1, 3, 4}) {
    EXPECT_EQ(merged.output.select(1, head).abs().max().item<double>(), 0);
    EXPECT_EQ(merged.logsumexp.select(1, head).max().item<double>(), -INFINITY);
  }
}

TEST(Merge, HeadsOfOnePartBesideMergedOnesStayToTheBit) {
  const Result all{at::randn({2, 4, 5, 3}).to(at::kBFloat16), at::randn({2, 4, 5})};
  const Result odd{at::randn({2, 2, 5, 3}).to(at::kBFloat16), at::randn({2, 2, 5})};
  const Result merged = empty_result(4, at::kBFloat16);
  merge_parts({{{0, 1, 4}, all}, {{1, 2, 2}, odd}}, 1, merged);
  EXPECT_TRUE(at::equal(merged.output.slice(1, 0, 4, 2), all.output.slice(1, 0, 4, 2)));
  const at::Tensor weight = at::sigmoid(odd.logsumexp - all.logsumexp.slice(1, 1, 4, 2)).unsqueeze(-1);
  const at::Tensor expected =
      odd.output.to(at::kFloat) * weight + all.output.slice(1, 1, 4, 2).to(at::kFloat) * (1 - weight);
  EXPECT_LT(max_difference(merged.output.slice(1, 1, 4, 2), expected), 0.02);
}

}  // namespace
}  // namespace skipattn::attention::cuda
