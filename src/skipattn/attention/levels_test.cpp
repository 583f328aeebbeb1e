// Every level of the CPU against the definition: sizes around every edge of the kernels' tiles, widths with every tail,
// and all kinds of masks and routes along the way. (Tiles: 64 queries, register tiles of 6 keys, bites of 192 keys
// forward, chunks of 256 backward, vectors of 8 and 16, pairs of bf16.)
#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/cpu/level.h"

namespace skipattn::attention::test {
namespace {

constexpr std::array<int64_t, 28> kSizes = {1,  5,  6,   7,   15,  16,  17,  31,  32,  33,  63,  64,  65,  95,
                                            96, 97, 127, 128, 129, 191, 192, 193, 255, 256, 257, 511, 512, 513};
constexpr std::array<int64_t, 19> kWidths = {32,  33,  40,  48, 64, 72, 80, 96, 112, 128,
                                             160, 192, 256, 1,  3,  7,  13, 17, 31};
constexpr std::array<std::pair<int64_t, int64_t>, 4> kHeads = {{{2, 2}, {2, 1}, {3, 1}, {4, 2}}};
constexpr std::array<First, 5> kFirsts = {First::kNone, First::kAnyOrder, First::kWindow, First::kDocuments,
                                          First::kPadding};
constexpr std::array<Routes, 7> kRoutes = {Routes::kOwn,        Routes::kJointTwo,  Routes::kShared,
                                           Routes::kTwoSides,   Routes::kSomeEmpty, Routes::kSkip,
                                           Routes::kJointRepeat};

/// Skips with the reason where a level cannot be tried.
class EveryLevel : public ::testing::TestWithParam<cpu::Level> {};
INSTANTIATE_TEST_SUITE_P(Levels, EveryLevel,
                         ::testing::Values(cpu::Level::kTorch, cpu::Level::kAvx2, cpu::Level::kAvx512,
                                           cpu::Level::kAvx512Bf16),
                         [](const auto& param_info) { return std::string(cpu::level_name(param_info.param)); });

TEST_P(EveryLevel, ServesWhenForced) {
  if (!cpu::is_available(GetParam()))
    GTEST_SKIP() << "this processor or build has no " << cpu::level_name(GetParam()) << ": its tests are left out";
  const ForcedLevel forced(cpu::level_name(GetParam()));
  EXPECT_EQ(cpu::choose_level(), GetParam());
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    expect_accurate({.queries = 70, .dtype = dtype, .routes = Routes::kSkip});
}

class TileEdges : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  const OneThread one_thread_;
  const std::vector<std::string> levels_ = levels_for(GetParam(), /*with_torch=*/false);
};
INSTANTIATE_TEST_SUITE_P(Levels, TileEdges, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& param_info) { return std::string(toString(param_info.param)); });

TEST_P(TileEdges, QueriesKeysAndWidths) {
  size_t turn = 0;  // walks through the other properties, whose numbers have no common divisors
  for (const size_t step : {0, 11, 17}) {
    for (size_t i = 0; i < kSizes.size(); ++i, ++turn) {
      const auto [heads, kv_heads] = kHeads[turn / 3 % kHeads.size()];
      const int64_t queries = kSizes[i], keys = kSizes[(i + step) % kSizes.size()];
      expect_accurate_at(levels_, {.batch = turn % 5 == 0 && queries < 200 ? 2 : 1,
                                   .heads = heads,
                                   .kv_heads = kv_heads,
                                   .queries = queries,
                                   .earlier_keys = keys - queries,
                                   .head_width = kWidths[turn % kWidths.size()],
                                   .dtype = GetParam(),
                                   .causal = turn % 4 != 3,
                                   .first = kFirsts[turn % 3 == 0 ? 0 : turn % kFirsts.size()],
                                   .routes = kRoutes[turn % kRoutes.size()],
                                   .strided = turn % 2 == 0,
                                   .dropout_p = turn % 6 == 5 ? 0.25 : 0.0});
    }
  }
}

TEST_P(TileEdges, EveryMaskWithEveryRouting) {
  size_t turn = 0;
  for (const First first : kFirsts)
    for (const Routes routes : kRoutes)
      for (const bool causal : {true, false}) {
        expect_accurate_at(levels_, {.batch = 2,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .queries = 70,
                                     .earlier_keys = std::array<int64_t, 3>{0, 203, -9}[turn % 3],
                                     .head_width = 24,
                                     .dtype = GetParam(),
                                     .causal = causal,
                                     .first = first,
                                     .routes = routes,
                                     .dropout_p = turn % 5 == 4 ? 0.3 : 0.0});
        ++turn;
      }
}

}  // namespace
}  // namespace skipattn::attention::test
