#include "skipattn/inference/block_cache.h"

#include <gtest/gtest.h>

#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/inference/cpu/kernel_test_support.h"
#include "skipattn/model/config.h"
#include "skipattn/routing/costs.h"

namespace skipattn::inference {
namespace {

routing::Plan plan_of(const std::string& text, int layers, int kv_heads) {
  return routing::make_plan(routing::parse_routing(text, {.layers = layers, .kv_heads = kv_heads}));
}

TEST(CacheLayout, BytesAreThePlansFigure) {
  const model::ModelConfig config = [] {
    model::ModelConfig preset = model::preset("gpt2");
    preset.resolve();
    return preset;
  }();
  for (const std::string routing : {"baseline", "sla(distance=9, heads=9)", "sla(distance=6, heads=9)", "skipv1",
                                    "cla(group=2)", "yoco", "sla(keys=own)", "sla(values=own)"}) {
    const routing::Plan plan = plan_of(routing, 12, 12);
    for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8}) {
      const routing::Costs costs = routing::count_costs(plan, config.dimensions(), 1024, dtype_name(dtype));
      EXPECT_EQ(static_cast<double>(CacheLayout(plan, 64, dtype).bytes_per_token()), costs.kv_cache_bytes_per_token)
          << routing << " " << dtype_name(dtype);
    }
  }
}

TEST(CacheLayout, SkipHeadsSaveWhatTheDesignSays) {
  const auto bytes = [](const char* text) {
    return static_cast<double>(CacheLayout(plan_of(text, 12, 12), 64, Dtype::kBf16).bytes_per_token());
  };
  EXPECT_DOUBLE_EQ(bytes("sla(distance=9, heads=9)"), (1 - 0.1875) * bytes("baseline"));
  EXPECT_DOUBLE_EQ(bytes("sla(distance=6, heads=9)"), (1 - 0.375) * bytes("baseline"));
}

TEST(CachedSequence, HoldsWhatWasStoredAndNeverMovesIt) {
  const routing::Plan plan = plan_of("sla(distance=1, heads=2, keys=own)", 3, 3);
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16, Dtype::kInt8}) {
    BlockPool pool(CacheLayout(plan, 8, dtype));
    CachedSequence sequence(pool, 200);
    const auto slots = static_cast<int64_t>(plan.cache_slots());
    const auto numbers = [&](int64_t slot, int64_t position) {
      return cpu::random_numbers(8, static_cast<uint64_t>(slot * 1000 + position));
    };
    const char* first = nullptr;
    for (int64_t position = 0; position < 200; ++position) {
      sequence.reserve(position + 1);
      if (position == 0) first = sequence.slot_rows(0, 0);
      for (int64_t slot = 0; slot < slots; ++slot) sequence.store(slot, position, numbers(slot, position).data());
      sequence.set_length(position + 1);
    }
    EXPECT_EQ(sequence.slot_rows(0, 0), first);
    for (int64_t position = 0; position < 200; ++position) {
      for (int64_t slot = 0; slot < slots; ++slot) {
        const int64_t block = position / kBlockRows, row = position % kBlockRows;
        const float* scales = sequence.slot_scales(slot, block);
        std::vector<float> back(8);
        cpu::load_row(dtype, sequence.slot_rows(slot, block) + row * 8 * bytes_of(dtype),
                      scales != nullptr ? scales[row] : 1.0f, 8, back.data());
        const std::vector<float> truth = numbers(slot, position);
        for (size_t i = 0; i < 8; ++i) ASSERT_NEAR(back[i], truth[i], 0.01) << slot << " " << position;
      }
    }
  }
}

TEST(CachedSequence, StretchesAreTheSlotsRowsOfOneBlock) {
  BlockPool pool(CacheLayout(plan_of("baseline", 2, 3), 8, Dtype::kInt8));
  CachedSequence sequence(pool, 200);
  sequence.reserve(130);
  const CacheLayout& layout = pool.layout();
  const cpu::CachedRows rows = sequence.rows(layout.key_slot(1, 2), layout.value_slot(0, 1), 70, 128);
  EXPECT_EQ(rows.keys, sequence.slot_rows(layout.key_slot(1, 2), 1));
  EXPECT_EQ(rows.values, sequence.slot_rows(layout.value_slot(0, 1), 1));
  EXPECT_EQ(rows.key_scales, sequence.slot_scales(layout.key_slot(1, 2), 1));
  EXPECT_EQ(rows.begin, 6);
  EXPECT_EQ(rows.end, 64);
}

TEST(BlockPool, BlocksOfSequencesThatEndedAreUsedAgain) {
  BlockPool pool(CacheLayout(plan_of("baseline", 1, 1), 4, Dtype::kFp32));
  std::set<const char*> before, after;
  {
    CachedSequence one(pool, 300), two(pool, 300);
    one.reserve(129);
    two.reserve(64);
    EXPECT_EQ(pool.blocks_in_use(), 4);
    for (int64_t block = 0; block < 3; ++block) before.insert(one.slot_rows(0, block));
    before.insert(two.slot_rows(0, 0));
    EXPECT_EQ(before.size(), 4U);
    CachedSequence moved = std::move(one);
    EXPECT_EQ(moved.bytes_allocated(), 3 * pool.layout().block_bytes());
    EXPECT_EQ(pool.blocks_in_use(), 4);
  }
  EXPECT_EQ(pool.blocks_in_use(), 0);
  CachedSequence three(pool, 300);
  three.reserve(256);
  for (int64_t block = 0; block < 4; ++block) after.insert(three.slot_rows(0, block));
  EXPECT_EQ(before, after);
}

TEST(CachedSequence, ShorterIsForgottenAndGivenBack) {
  BlockPool pool(CacheLayout(plan_of("baseline", 1, 1), 4, Dtype::kFp32));
  CachedSequence sequence(pool, 300);
  sequence.reserve(200);
  sequence.set_length(200);
  EXPECT_EQ(sequence.bytes_held(), 200 * 2 * 4 * 4);
  EXPECT_EQ(pool.blocks_in_use(), 4);
  sequence.set_length(65);
  EXPECT_EQ(pool.blocks_in_use(), 2);
  sequence.set_length(0);
  EXPECT_EQ(pool.blocks_in_use(), 0);
}

TEST(CachedSequence, ForksShareBlocksUntilOneGoesOn) {
  BlockPool pool(CacheLayout(plan_of("baseline", 1, 1), 4, Dtype::kFp32));
  CachedSequence one(pool, 300);
  const auto put = [](CachedSequence& sequence, int64_t begin, int64_t end, float number) {
    sequence.reserve(end);
    for (int64_t position = begin; position < end; ++position)
      for (const int64_t slot : {0, 1})
        sequence.store(slot, position, std::vector<float>(4, number + static_cast<float>(position)).data());
    sequence.set_length(end);
  };
  const auto at = [](const CachedSequence& sequence, int64_t position) {
    return reinterpret_cast<const float*>(sequence.slot_rows(1, position / kBlockRows))[position % kBlockRows * 4 + 3];
  };
  put(one, 0, 150, 0);
  {
    CachedSequence two = one.fork(), three = two.fork();
    EXPECT_EQ(pool.blocks_in_use(), 3);
    EXPECT_EQ(two.length(), 150);
    put(two, 150, 160, 1000);
    put(one, 150, 155, 2000);
    EXPECT_EQ(pool.blocks_in_use(), 5);  // the first two in common, and the third of each
    three.set_length(100);
    put(three, 100, 101, 3000);
    EXPECT_EQ(two.slot_rows(0, 0), three.slot_rows(0, 0));
    EXPECT_EQ(at(two, 100), 100);
    EXPECT_EQ(at(two, 149), 149);
    EXPECT_EQ(at(two, 150), 1150);
    EXPECT_EQ(at(one, 150), 2150);
    EXPECT_EQ(at(three, 99), 99);
    EXPECT_EQ(at(three, 100), 3100);
  }
  EXPECT_EQ(at(one, 149), 149);
  EXPECT_EQ(pool.blocks_in_use(), 3);
  one.set_length(0);
  EXPECT_EQ(pool.blocks_in_use(), 0);
}

TEST(CachedSequence, SlidingOffTheEndIsAnError) {
  BlockPool pool(CacheLayout(plan_of("baseline", 1, 1), 4, Dtype::kFp32));
  CachedSequence sequence(pool, 10);
  EXPECT_NO_THROW(sequence.reserve(10));
  EXPECT_THROW(sequence.reserve(11), InputError);
}

}  // namespace
}  // namespace skipattn::inference
