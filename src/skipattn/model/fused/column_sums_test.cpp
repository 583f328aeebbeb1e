#include "skipattn/model/fused/column_sums.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::model::fused {
namespace {

TEST(ColumnSums, AreTheSumsOfRowsOfAnyStride) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t rows : {1, 7, 1000, 5000})
      for (const int64_t columns : {1, 31, 33, 96, 2304}) {
        at::manual_seed(3);
        const at::Tensor matrix = at::randn({rows, columns + 5}).to(dtype).narrow(1, 2, columns);
        const at::Tensor exact = matrix.to(at::kDouble).sum(0);
        const at::Tensor sums = at::full({columns}, NAN), again = at::ones({columns});
        column_sums(matrix, sums, /*add=*/false);
        column_sums(matrix, again, /*add=*/true);
        EXPECT_LE((sums - exact).abs().max().item<double>(), 1e-6 * static_cast<double>(rows))
            << rows << "x" << columns;
        EXPECT_LE((again - exact - 1).abs().max().item<double>(), 1e-6 * static_cast<double>(rows));
      }
}

}  // namespace
}  // namespace skipattn::model::fused
