#include "skipattn/attention/cpu/level.h"

#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"

namespace skipattn::attention::cpu {
namespace {

TEST(Levels, TorchServesWhatOurKernelsDoNot) {
  for (const Level level : {Level::kReference, Level::kTorch})
    EXPECT_EQ(choose_kernels(level, at::kFloat, 64), nullptr);
  for (const Level level : {Level::kAvx2, Level::kAvx512, Level::kAvx512Bf16}) {
    if (!is_available(level)) continue;
    EXPECT_NE(choose_kernels(level, at::kFloat, 512), nullptr);
    EXPECT_EQ(choose_kernels(level, at::kFloat, 513), nullptr);
    EXPECT_EQ(choose_kernels(level, at::kDouble, 64), nullptr);
    EXPECT_EQ(choose_kernels(level, at::kHalf, 64), nullptr);
  }
}

TEST(Levels, Bf16ProductsAreForBf16Tensors) {
  if (!is_available(Level::kAvx512Bf16)) GTEST_SKIP() << "this processor or build has no avx512_bf16";
  EXPECT_EQ(choose_kernels(Level::kAvx512Bf16, at::kBFloat16, 64), avx512_bf16_kernels());
  EXPECT_EQ(choose_kernels(Level::kAvx512Bf16, at::kFloat, 64), avx512_kernels());
  EXPECT_EQ(choose_kernels(Level::kAvx512, at::kBFloat16, 64), avx512_kernels());
  EXPECT_EQ(choose_kernels(Level::kAvx2, at::kBFloat16, 64), avx2_kernels());
}

TEST(Levels, TheBestOneServesUnlessAnotherIsNamed) {
  const test::ForcedLevel none("");
  const Level best = choose_level();
  EXPECT_TRUE(is_available(best));
  for (int better = static_cast<int>(best) + 1; better <= static_cast<int>(Level::kAvx512Bf16); ++better)
    EXPECT_FALSE(is_available(static_cast<Level>(better)));
  for (const Level level : {Level::kReference, Level::kTorch, best}) {
    const test::ForcedLevel forced(level_name(level));
    EXPECT_EQ(choose_level(), level);
  }
}

}  // namespace
}  // namespace skipattn::attention::cpu
