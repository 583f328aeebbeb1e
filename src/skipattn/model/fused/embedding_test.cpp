#include "skipattn/model/fused/embedding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace skipattn::model::fused {
namespace {

TEST(Embedding, SumOfBothRows) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t width : {1, 16, 51}) {
      const at::Tensor tokens = at::randn({7, width}).to(dtype), positions = at::randn({9, width}).to(dtype);
      const at::Tensor token_ids = at::randint(0, 7, {200}, at::kLong),
                       position_ids = at::randint(0, 9, {200}, at::kLong);
      const at::Tensor sum = at::empty({200, width});
      embed(tokens, token_ids, positions, position_ids, sum);
      EXPECT_TRUE(at::equal(sum, tokens.to(at::kFloat).index_select(0, token_ids) +
                                     positions.to(at::kFloat).index_select(0, position_ids)));
    }
}

TEST(Embedding, IdsOutsideTheTablesAreRefused) {
  const at::Tensor table = at::zeros({3, 4}), sum = at::empty({1, 4}), good = at::zeros({1}, at::kLong);
  EXPECT_THROW(embed(table, good + 3, table, good, sum), c10::IndexError);
  EXPECT_THROW(embed(table, good, table, good - 1, sum), c10::IndexError);
}

TEST(Embedding, GradientsAddUpInTheOrderOfTheTokensForAnyNumberOfThreads) {
  const int64_t width = 200;
  const at::Tensor ids = at::randint(0, 5, {3000}, at::kLong), gradient = at::randn({3000, width});
  const int threads = at::get_num_threads();
  at::Tensor first;
  for (const int count : {1, 2, 6}) {
    at::set_num_threads(count);
    const at::Tensor table = at::ones({6, width});
    add_embedding_gradient(table, ids, gradient);
    if (!first.defined()) first = table;
    EXPECT_TRUE(at::equal(table, first));
  }
  at::set_num_threads(threads);
  const at::Tensor exact = at::ones({6, width}, at::kDouble).index_add(0, ids, gradient.to(at::kDouble));
  EXPECT_LT((first.to(at::kDouble) - exact).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(at::equal(first[5], at::ones({width})));  // no token of this id
}

}  // namespace
}  // namespace skipattn::model::fused
