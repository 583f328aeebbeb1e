#include "skipattn/core/simd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace skipattn {
namespace {

template <typename T>
SKIPATTN_INLINE void copy_all(const T* from, T* to, int64_t count) {
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const int lanes = simd::lanes_from(count - i);
    simd::store(to + i, simd::load(from + i, lanes), lanes);
  }
}
SKIPATTN_SIMD void copy_floats(const float* from, float* to, int64_t count) {
  copy_all(from, to, count);
}
SKIPATTN_SIMD void copy_bf16(const Bf16* from, Bf16* to, int64_t count) {
  copy_all(from, to, count);
}
SKIPATTN_SIMD void round_all(const float* from, Bf16* to, int64_t count) {
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const int lanes = simd::lanes_from(count - i);
    simd::store(to + i, simd::load(from + i, lanes), lanes);
  }
}
SKIPATTN_SIMD void exp_all(float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const int lanes = simd::lanes_from(count - i);
    simd::store(x + i, simd::exp(simd::load(x + i, lanes)), lanes);
  }
}

TEST(Simd, LoadsAndStoresTouchOnlyTheirElements) {
  for (int64_t count = 1; count <= 40; ++count) {
    std::vector<float> from(count), to(count + 20, 7.0f);
    std::vector<Bf16> half_from(count), half_to(count + 20, Bf16{77});
    for (int64_t i = 0; i < count; ++i) from[i] = static_cast<float>(i) - 3, half_from[i].bits = 0x3f80 + i;
    copy_floats(from.data(), to.data() + 10, count);
    copy_bf16(half_from.data(), half_to.data() + 10, count);
    for (int64_t i = 0; i < count + 20; ++i) {
      const bool inside = i >= 10 && i < count + 10;
      EXPECT_EQ(to[i], inside ? from[i - 10] : 7.0f);
      EXPECT_EQ(half_to[i].bits, inside ? half_from[i - 10].bits : 77);
    }
  }
}

TEST(Simd, RoundingIsToTheNearestEvenAndKeepsNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const float ulp = std::ldexp(1.0f, -7);  // of bf16 at 1
  const std::vector<float> from = {1.0f, 1 + ulp / 2, 1 + 1.5f * ulp, 1 + 0.51f * ulp, -inf, nan};
  std::vector<Bf16> to(from.size());
  round_all(from.data(), to.data(), static_cast<int64_t>(from.size()));
  const std::vector<uint16_t> expected = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0xff80};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(to[i].bits, expected[i]) << i;
  EXPECT_GT(to[5].bits & 0x7fff, 0x7f80);
}

TEST(Simd, ExpIsTheStandardLibrarys) {
  std::vector<float> x;
  for (float value = -87; value < 88; value += 0.0371f) x.push_back(value);
  std::vector<float> found = x;
  exp_all(found.data(), static_cast<int64_t>(x.size()));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(found[i] / std::exp(static_cast<double>(x[i])), 1.0, 2e-6) << x[i];
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  std::vector<float> special = {-inf, -1000.0f, 0.0f, nan, 1000.0f};
  exp_all(special.data(), 5);
  EXPECT_LT(special[0], 2e-38f);
  EXPECT_EQ(special[1], special[0]);
  EXPECT_EQ(special[2], 1.0f);
  EXPECT_TRUE(std::isnan(special[3]));
  EXPECT_GT(special[4], 1e38f);
}

}  // namespace
}  // namespace skipattn
