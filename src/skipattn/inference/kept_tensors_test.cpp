#include "skipattn/inference/kept_tensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::inference {
namespace {

TEST(KeptTensors, TheMemoryOfAUseIsKept) {
  KeptTensors<2> kept;
  const void* memory = kept.get(0, {64, 48}, at::kFloat).data_ptr();
  EXPECT_EQ(kept.get(0, {3, 5, 7}, at::kBFloat16).data_ptr(), memory);
  EXPECT_EQ(kept.get(0, {64, 48}, at::kFloat).data_ptr(), memory);
}

TEST(KeptTensors, TensorsHaveTheShapeAndTypeAskedForAndRoomOfTheirOwn) {
  KeptTensors<2> kept;
  const at::Tensor first = kept.get(0, {2, 3}, at::kFloat), second = kept.get(1, {4}, at::kBFloat16);
  EXPECT_EQ(first.sizes(), (at::IntArrayRef{2, 3}));
  EXPECT_TRUE(first.is_contiguous());
  EXPECT_EQ(second.scalar_type(), at::kBFloat16);
  first.fill_(1);
  second.fill_(2);
  EXPECT_EQ(first.sum().item<float>(), 6.0f);
  const at::Tensor larger = kept.get(0, {1000, 1000}, at::kFloat);
  larger.fill_(3);
  EXPECT_EQ(larger.sum().item<double>(), 3e6);
  EXPECT_EQ(second.sum().item<float>(), 8.0f);
}

}  // namespace
}  // namespace skipattn::inference
