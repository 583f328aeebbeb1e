#include "skipattn/attention/cpu/buffer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <utility>

namespace skipattn::attention::cpu {
namespace {

bool is_aligned(const void* data) {
  return reinterpret_cast<uintptr_t>(data) % 64 == 0;
}

TEST(Buffer, IsAlignedAndWritable) {
  for (const size_t bytes : {0u, 1u, 63u, 4097u, 3u << 20}) {
    const Buffer buffer(bytes);
    EXPECT_FALSE(buffer.empty()) << bytes;
    EXPECT_TRUE(is_aligned(buffer.floats())) << bytes;
    std::memset(buffer.words(), 1, bytes);
  }
  EXPECT_TRUE(Buffer().empty());
}

TEST(Buffer, IsUsedAgainBySimilarOnes) {
  const float* first = nullptr;
  {
    const Buffer buffer(100'000);
    first = buffer.floats();
  }
  const Buffer similar(99'000), other(99'000);
  EXPECT_EQ(similar.floats(), first);
  EXPECT_NE(other.floats(), first);  // taken
}

TEST(Buffer, MovesWithItsMemory) {
  Buffer a(1000);
  const float* data = a.floats();
  Buffer b(std::move(a));
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): what moving leaves is part of the class
  EXPECT_EQ(b.floats(), data);
  b = Buffer();
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(Buffer(1000).floats(), data);  // came back to the pool
}

TEST(Buffer, TensorsGiveTheirMemoryBack) {
  const auto options = at::TensorOptions().dtype(at::kBFloat16);
  const void* data = nullptr;
  {
    const at::Tensor tensor = pooled_heads_inner({2, 3, 50, 8}, options);
    EXPECT_EQ(tensor.sizes(), (std::vector<int64_t>{2, 3, 50, 8}));
    EXPECT_EQ(tensor.strides(), (std::vector<int64_t>{3 * 50 * 8, 8, 3 * 8, 1}));
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16);
    data = tensor.data_ptr();
    const at::Tensor view = tensor.transpose(1, 2).flatten(2);
    EXPECT_EQ(view.data_ptr(), data);
    EXPECT_NE(pooled_heads_inner({2, 3, 50, 8}, options).data_ptr(), data);  // still held
  }
  const at::Tensor next = pooled_heads_inner({2, 3, 50, 8}, options),
                   other = pooled_heads_inner({2, 3, 50, 8}, options);
  EXPECT_TRUE(next.data_ptr() == data || other.data_ptr() == data);
  EXPECT_EQ(pooled_heads_inner({0, 3, 50, 8}, options).numel(), 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep freed memory themselves
TEST(Buffer, FreeMemoryGoesBackToTheSystemWhenAsked) {
  const auto resident_bytes = [] {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4096;
  };
  constexpr int64_t kBytes = 64 << 20;
  {
    const Buffer buffer(kBytes);
    std::memset(buffer.words(), 1, kBytes);
  }
  const int64_t held = resident_bytes();
  Buffer::release_unused();
  EXPECT_GT(held - resident_bytes(), kBytes / 2);
}
#endif

}  // namespace
}  // namespace skipattn::attention::cpu
