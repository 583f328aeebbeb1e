#include "skipattn/analysis/step_costs.h"

#include <gtest/gtest.h>

namespace skipattn::analysis {
namespace {

// 3 layers, 2 heads of 4, width 8, MLP 32, vocabulary 100.
constexpr routing::Dimensions kSmall = {.layers = 3,
                                        .heads = 2,
                                        .kv_heads = 2,
                                        .head_width = 4,
                                        .width = 8,
                                        .mlp_width = 32,
                                        .vocabulary = 100,
                                        .positions = 64};
constexpr double kLayerWeights = 4 * 8 * 8 + 2 * 8 * 32;
constexpr double kHeadWeights = 100 * 8;

routing::Plan plan_of(const std::string& text) {
  return routing::make_plan(routing::parse_routing(text, {.layers = 3, .kv_heads = 2}));
}

TEST(StepCosts, TrainingCountsProductsThreeTimesAndAttentionThreeAndAHalfTimes) {
  const StepFlops flops = training_flops(plan_of("baseline"), kSmall, {.batch = 5, .context = 7});
  EXPECT_DOUBLE_EQ(flops.matrix_products, 3 * 2 * 35 * 3 * kLayerWeights);
  EXPECT_DOUBLE_EQ(flops.vocabulary_head, 3 * 2 * 35 * kHeadWeights);
  // A sequence of 7 attends 28 keys for each of 2 heads in 3 layers.
  EXPECT_DOUBLE_EQ(flops.attention, 3.5 * 4 * 4 * 5 * 28 * 2 * 3);
  EXPECT_DOUBLE_EQ(flops.total(), flops.matrix_products + flops.vocabulary_head + flops.attention);
  const routing::Costs costs = count_costs(plan_of("baseline"), kSmall, 7, "bf16");
  EXPECT_DOUBLE_EQ(flops.total(), 35 * costs.flops_per_token_training);
}

TEST(StepCosts, ABorrowingHeadSavesItsProjections) {
  const StepSize size = {.batch = 1, .context = 4};
  const StepFlops sla = training_flops(plan_of("sla(distance=2, heads=1)"), kSmall, size);
  const StepFlops baseline = training_flops(plan_of("baseline"), kSmall, size);
  EXPECT_DOUBLE_EQ(baseline.matrix_products - sla.matrix_products, 3 * 2 * 4 * 2 * 4 * 8);
  EXPECT_DOUBLE_EQ(baseline.attention, sla.attention);
}

TEST(StepCosts, APromptsHeadRunsForItsLastTokenAlone) {
  const StepFlops flops = prefill_flops(plan_of("baseline"), kSmall, {.batch = 2, .context = 7});
  EXPECT_DOUBLE_EQ(flops.matrix_products, 2 * 14 * 3 * kLayerWeights);
  EXPECT_DOUBLE_EQ(flops.attention, 4 * 4 * 2 * 28 * 2 * 3);
  EXPECT_DOUBLE_EQ(flops.vocabulary_head, 2 * 2 * kHeadWeights);
}

TEST(StepCosts, ADecodedTokenSeesAllBeforeItAndItself) {
  const StepFlops flops = decode_flops(plan_of("baseline"), kSmall, {.batch = 2, .context = 9});
  EXPECT_DOUBLE_EQ(flops.matrix_products, 2 * 2 * 3 * kLayerWeights);
  EXPECT_DOUBLE_EQ(flops.attention, 2 * 4 * 4 * 9 * 2 * 3);
  EXPECT_DOUBLE_EQ(flops.vocabulary_head, 2 * 2 * kHeadWeights);
  const StepFlops windowed = decode_flops(plan_of("baseline(window=4)"), kSmall, {.batch = 2, .context = 9});
  EXPECT_DOUBLE_EQ(windowed.attention, 2 * 4 * 4 * 4 * 2 * 3);
}

TEST(StepCosts, DecodingReadsEveryWeightAndEveryLiveHeadOnce) {
  const StepSize size = {.batch = 2, .context = 9};
  const double weights = 3 * kLayerWeights + kHeadWeights;
  EXPECT_DOUBLE_EQ(decode_bytes(plan_of("baseline"), kSmall, size, {.weight_bytes = 2, .cache_dtype = "bf16"}),
                   2 * weights + 2 * 9 * 12 * 4 * 2);
  EXPECT_DOUBLE_EQ(decode_bytes(plan_of("baseline"), kSmall, size, {.weight_bytes = 4, .cache_dtype = "fp32"}),
                   4 * weights + 2 * 9 * 12 * 4 * 4);
  // One key head and one value head of the last layer are neither kept nor read.
  EXPECT_DOUBLE_EQ(decode_bytes(plan_of("sla(distance=2, heads=1)"), kSmall, size, {}),
                   2 * (weights - 2 * 4 * 8) + 2 * 9 * 10 * 4 * 2);
  EXPECT_DOUBLE_EQ(decode_bytes(plan_of("baseline(window=4)"), kSmall, size, {}), 2 * weights + 2 * 4 * 12 * 4 * 2);
}

}  // namespace
}  // namespace skipattn::analysis
