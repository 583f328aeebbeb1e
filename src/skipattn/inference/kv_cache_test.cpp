#include "skipattn/inference/kv_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/inference/session.h"
#include "skipattn/inference/test_model.h"
#include "skipattn/routing/costs.h"

namespace skipattn::inference {
namespace {

routing::Plan plan_of(const std::string& text, int layers, int kv_heads) {
  return routing::make_plan(routing::parse_routing(text, {.layers = layers, .kv_heads = kv_heads}));
}

model::KeyValues random_key_values(const routing::LayerPlan& layer, int64_t batch, int64_t tokens, int64_t head_width) {
  model::KeyValues projected;
  const auto draw = [&](size_t heads) {  // as the decoder hands them over: [B, T, heads, d] seen as [B, heads, T, d]
    return at::randn({batch, tokens, static_cast<int64_t>(heads), head_width}).transpose(1, 2);
  };
  if (!layer.live_keys.empty()) projected.keys = draw(layer.live_keys.size());
  if (!layer.live_values.empty()) projected.values = draw(layer.live_values.size());
  return projected;
}

TEST(KvCache, BytesHeldAreThePlansFigure) {
  for (const std::string routing : {"baseline", "sla(distance=9, heads=9)", "sla(distance=6, heads=9)", "skipv1",
                                    "cla(group=2)", "yoco", "sla(keys=own)", "sla(values=own)"}) {
    const model::ModelConfig config = [&] {
      model::ModelConfig preset = model::preset("gpt2");
      preset.routing = routing;
      preset.resolve();
      return preset;
    }();
    const routing::Plan plan = plan_of(routing, 12, 12);
    for (const auto& [dtype, name] : {std::pair(at::kBFloat16, "bf16"), std::pair(at::kFloat, "fp32")}) {
      const KvCache cache(plan, 64, {.dtype = dtype});
      const routing::Costs costs = routing::count_costs(plan, config.dimensions(), 1024, name);
      EXPECT_EQ(static_cast<double>(cache.bytes_held(1000)), 1000 * costs.kv_cache_bytes_per_token) << routing << name;
    }
  }
}

TEST(KvCache, SkipHeadsSaveWhatTheDesignSays) {
  const auto bytes = [](const char* text) {
    return static_cast<double>(KvCache(plan_of(text, 12, 12), 64, {}).bytes_per_token());
  };
  EXPECT_DOUBLE_EQ(bytes("sla(distance=9, heads=9)"), (1 - 0.1875) * bytes("baseline"));
  EXPECT_DOUBLE_EQ(bytes("sla(distance=6, heads=9)"), (1 - 0.375) * bytes("baseline"));
}

TEST(KvCache, HoldsExactlyWhatWasAppendedWhileItGrows) {
  const routing::Plan plan = plan_of("sla(distance=1, heads=2, keys=own)", 3, 3);
  KvCache cache(plan, 4, {.dtype = at::kFloat, .compute_dtype = at::kFloat, .batch = 2, .positions = 300});
  std::vector<model::KeyValues> all(3);
  for (const int64_t tokens : {3, 1, 60, 1, 100, 1, 134}) {
    const model::KeyValueHook hook = cache.hook(tokens);
    for (int64_t l = 0; l < 3; ++l) {
      const model::KeyValues projected = random_key_values(plan.layers[l], 2, tokens, 4);
      const model::KeyValues seen = hook(l, projected);
      all[l].keys = all[l].keys.defined() ? at::cat({all[l].keys, projected.keys}, 2) : projected.keys;
      all[l].values = all[l].values.defined() ? at::cat({all[l].values, projected.values}, 2) : projected.values;
      EXPECT_TRUE(at::equal(seen.keys, all[l].keys));
      EXPECT_TRUE(at::equal(seen.values, all[l].values));
    }
    cache.advance(tokens);
  }
  EXPECT_EQ(cache.length(), 300);
  EXPECT_EQ(cache.capacity(), 300);
  EXPECT_EQ(cache.bytes_allocated(), 2 * cache.bytes_held(300));  // two rows
}

TEST(KvCache, TakesNoMemoryForLayersThatNobodyReads) {
  const routing::Plan plan = plan_of("cla(group=2)", 4, 2);
  KvCache cache(plan, 4, {.positions = 64});
  EXPECT_EQ(cache.bytes_allocated(), 0);
  const model::KeyValueHook hook = cache.hook(1);
  EXPECT_EQ(cache.bytes_allocated(), 64 * cache.bytes_per_token());
  const model::KeyValues nothing = hook(1, {});
  EXPECT_FALSE(nothing.keys.defined());
  EXPECT_FALSE(nothing.values.defined());
}

TEST(KvCache, CapacityDoublesInBlocksUpToThePositions) {
  KvCache cache(plan_of("baseline", 1, 1), 4, {.positions = 200});
  std::vector<int64_t> capacities;
  for (int64_t i = 0; i < 200; ++i) {
    cache.hook(1);
    cache.advance(1);
    if (capacities.empty() || capacities.back() != cache.capacity()) capacities.push_back(cache.capacity());
  }
  EXPECT_EQ(capacities, (std::vector<int64_t>{64, 128, 200}));
}

TEST(KvCache, AFailedPassIsWrittenOver) {
  const routing::Plan plan = plan_of("baseline", 1, 1);
  KvCache cache(plan, 4, {.dtype = at::kFloat, .compute_dtype = at::kFloat});
  cache.hook(2)(0, random_key_values(plan.layers[0], 1, 2, 4));  // never advanced
  const model::KeyValues again = random_key_values(plan.layers[0], 1, 1, 4);
  EXPECT_TRUE(at::equal(cache.hook(1)(0, again).keys, again.keys));
}

TEST(KvCache, ReadersOfTheSameDtypeGetViews) {
  const routing::Plan plan = plan_of("baseline", 1, 1);
  KvCache cache(plan, 4, {.dtype = at::kFloat, .compute_dtype = at::kFloat});
  const void* first = cache.hook(1)(0, random_key_values(plan.layers[0], 1, 1, 4)).keys.const_data_ptr();
  cache.advance(1);
  EXPECT_EQ(cache.hook(1)(0, random_key_values(plan.layers[0], 1, 1, 4)).keys.const_data_ptr(), first);
}

TEST(KvCache, RefusesMoreThanThePositionsAndOtherDtypes) {
  KvCache cache(plan_of("baseline", 1, 1), 4, {.positions = 10});
  EXPECT_NO_THROW(cache.hook(10));
  EXPECT_THROW(cache.hook(11), InputError);
  EXPECT_THROW(KvCache(plan_of("baseline", 1, 1), 4, {.dtype = at::kChar}), InputError);
}

}  // namespace
}  // namespace skipattn::inference
