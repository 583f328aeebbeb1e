#include "skipattn/core/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

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

TEST(Memory, TouchingFreshPagesShowsAsFaults) {
  constexpr size_t kSize = size_t{64} << 20;
  char* block = static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(block, MAP_FAILED);
  const auto touch_all = [&] {
    const int64_t before = minor_page_faults();
    for (size_t i = 0; i < kSize; i += 4096) *static_cast<volatile char*>(block + i) = 1;
    return minor_page_faults() - before;
  };
  EXPECT_GE(touch_all(), 32);  // huge pages of 2 MiB at the largest
  EXPECT_LT(touch_all(), 8);
  munmap(block, kSize);
}

}  // namespace
}  // namespace skipattn
