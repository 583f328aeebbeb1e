#include "skipattn/attention/cuda/views.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::attention::cuda {
namespace {

/// copy_rows() of heads [B, T, H, d] seen as [B, H, T, d] into every second head of a wider tensor.
void expect_copied(int64_t head_width, int64_t offset, at::ScalarType to_type, at::ScalarType from_type) {
  at::manual_seed(3);
  const at::Tensor from = at::randn({2, 5, 3, head_width}, from_type).transpose(1, 2);
  const at::Tensor flat = at::zeros({offset + 2 * 5 * 6 * head_width}, to_type);
  const at::Tensor wide = flat.narrow(0, offset, 2 * 5 * 6 * head_width).view({2, 5, 6, head_width}).transpose(1, 2);
  copy_rows(wide.slice(1, 1, 6, 2), from);
  EXPECT_TRUE(at::equal(wide.slice(1, 1, 6, 2), from.to(to_type)));
  EXPECT_EQ(wide.slice(1, 0, 6, 2).abs().max().item<double>(), 0);
  EXPECT_EQ(flat.narrow(0, 0, offset).abs().sum().item<double>(), 0);
}

TEST(CopyRows, SixteenBytesAtATime) {
  expect_copied(64, 0, at::kBFloat16, at::kBFloat16);
  expect_copied(8, 16, at::kBFloat16, at::kBFloat16);
}

TEST(CopyRows, ElementByElementWhereRowsDoNotLieSo) {
  expect_copied(12, 0, at::kBFloat16, at::kBFloat16);  // not whole sixteens
  expect_copied(64, 3, at::kBFloat16, at::kBFloat16);  // begins beside one
  expect_copied(64, 0, at::kFloat, at::kFloat);
  expect_copied(64, 0, at::kBFloat16, at::kFloat);
}

TEST(CopyRows, NothingIsCopiedOfNothing) {
  copy_rows(at::empty({2, 0, 4, 8}, at::kBFloat16), at::empty({2, 0, 4, 8}, at::kBFloat16));
}

}  // namespace
}  // namespace skipattn::attention::cuda
