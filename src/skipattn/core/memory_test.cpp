#include "skipattn/core/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace skipattn {
namespace {

TEST(Memory, ThePeakGrowsWithWhatIsTouchedAndCanBeReset) {
  constexpr int64_t kSize = int64_t{96} << 20;
  const int64_t before = peak_resident_bytes();
  ASSERT_GT(before, 0);
  {
    const std::unique_ptr<char[]> block(new char[kSize]);
    std::memset(block.get(), 1, kSize);
    EXPECT_GE(peak_resident_bytes(), before + kSize * 9 / 10);
  }
  reset_peak_resident();
  EXPECT_LT(peak_resident_bytes(), before + kSize / 2);
}

}  // namespace
}  // namespace skipattn
