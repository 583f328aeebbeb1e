#include "skipattn/routing/costs.h"

#include <gtest/gtest.h>

#include "skipattn/core/errors.h"

namespace skipattn::routing {
namespace {

constexpr Shape kGpt2Shape = {.layers = 12, .kv_heads = 12};
constexpr Dimensions kGpt2 = {.layers = 12,
                              .heads = 12,
                              .kv_heads = 12,
                              .head_width = 64,
                              .width = 768,
                              .mlp_width = 3072,
                              .vocabulary = 50257,
                              .positions = 1024};

Costs gpt2_costs(const std::string& routing, int64_t context = 1024, const std::string& dtype = "bf16") {
  return count_costs(make_plan(parse_routing(routing, kGpt2Shape)), kGpt2, context, dtype);
}

TEST(Costs, ParametersOfPublishedModels) {
  EXPECT_EQ(gpt2_costs("baseline").parameters, 124439808);
  // TinyLlama 1.1B, as Transformers counts it: grouped queries, SwiGLU, RMSNorm, untied head, no
  // biases.
  const Dimensions tiny_llama = {.layers = 22,
                                 .heads = 32,
                                 .kv_heads = 4,
                                 .head_width = 64,
                                 .width = 2048,
                                 .mlp_width = 5632,
                                 .mlp_gated = true,
                                 .vocabulary = 32000,
                                 .tied_head = false,
                                 .attention_bias = false,
                                 .output_bias = false,
                                 .mlp_bias = false,
                                 .norm_bias = false};
  const Plan plan = make_plan(baseline_routing({.layers = 22, .kv_heads = 4}));
  EXPECT_EQ(count_costs(plan, tiny_llama, 2048, "bf16").parameters, 1100048384);
}

TEST(Costs, AnElidedHeadTakesItsColumnsAndBiasesAlong) {
  const Costs costs = gpt2_costs("sla(distance=9, heads=9)");
  EXPECT_EQ(costs.parameters_baseline, 124439808);
  EXPECT_EQ(costs.parameters, 124439808 - 2 * 3 * 9 * 64 * (768 + 1));
}

TEST(Costs, CacheOfThePublishedSettings) {
  const Costs costs = gpt2_costs("sla(distance=9, heads=9)");
  EXPECT_DOUBLE_EQ(costs.kv_cache_saved, 0.1875);
  EXPECT_DOUBLE_EQ(costs.kv_cache_bytes_per_token_baseline, 2 * 12 * 12 * 64 * 2);
  EXPECT_DOUBLE_EQ(costs.kv_cache_bytes_per_token, 2 * 117 * 64 * 2);
  EXPECT_DOUBLE_EQ(gpt2_costs("sla(distance=6, heads=9)").kv_cache_saved, 0.375);
  EXPECT_DOUBLE_EQ(gpt2_costs("baseline").kv_cache_saved, 0);
}

TEST(Costs, Int8CountsAScaleForEachHeadVector) {
  EXPECT_EQ(cache_bytes_per_element("fp32", 64), 4);
  EXPECT_EQ(cache_bytes_per_element("fp16", 64), 2);
  EXPECT_EQ(cache_bytes_per_element("int8", 64), 1.0625);
  EXPECT_DOUBLE_EQ(gpt2_costs("baseline", 8, "int8").kv_cache_bytes_per_token, 288 * (64 + 4));
  EXPECT_THROW(cache_bytes_per_element("int4", 64), InputError);
}

TEST(Costs, FlopsAreTheMatrixProductsAndTheKeysAttended) {
  // One token sees one key: 2 * (12 * (4 * 768^2 + 2 * 768 * 3072) + 50257 * 768) + 4 * 64 * 144.
  const double matrices = 2.0 * (12.0 * (4 * 768 * 768 + 2 * 768 * 3072) + 50257.0 * 768);
  const Costs one = gpt2_costs("baseline", 1);
  EXPECT_DOUBLE_EQ(one.flops_per_token_forward, matrices + 4 * 64 * 144);
  EXPECT_DOUBLE_EQ(one.flops_per_token_training, 3 * matrices + 3.5 * 4 * 64 * 144);
  // A context of 1024: a query sees 512.5 keys on average.
  EXPECT_DOUBLE_EQ(gpt2_costs("baseline").flops_per_token_forward, matrices + 4 * 64 * 144 * 512.5);
  const Costs skipping = gpt2_costs("sla(distance=9, heads=9)", 1);
  EXPECT_DOUBLE_EQ(skipping.flops_per_token_forward_baseline, one.flops_per_token_forward);
  EXPECT_DOUBLE_EQ(skipping.flops_per_token_forward, one.flops_per_token_forward - 2.0 * 768 * 64 * 54);
}

TEST(Costs, FlopsByKind) {
  const Costs costs = gpt2_costs("sla(distance=9, heads=9)", 3);
  EXPECT_DOUBLE_EQ(costs.head_flops_per_token, 2.0 * 50257 * 768);
  EXPECT_DOUBLE_EQ(costs.attention_flops_per_token, 4 * 64 * 144 * 2);
  EXPECT_DOUBLE_EQ(costs.matrix_flops_per_token, 2.0 * (12.0 * (4 * 768 * 768 + 2 * 768 * 3072) - 54 * 64 * 768));
}

TEST(Costs, WindowsJointSourcesAndDroppedHeadsChangeTheKeysAttended) {
  // Queries at 0..9 of a window of 4 see 1, 2, 3, 4, 4, … keys: 34 in all; no window: 55.
  const double difference =
      gpt2_costs("baseline", 10).flops_per_token_forward - gpt2_costs("baseline(window=4)", 10).flops_per_token_forward;
  EXPECT_NEAR(difference, 4 * 64 * 144 * (5.5 - 3.4), 1e-3);
  EXPECT_DOUBLE_EQ(gpt2_costs("baseline(window=99)", 10).flops_per_token_forward,
                   gpt2_costs("baseline", 10).flops_per_token_forward);
  const Costs joint = gpt2_costs(R"({"routes": [{"layer": 1, "head": 0, "key": ["own", 0], "value": ["own", 0]}]})", 1);
  EXPECT_DOUBLE_EQ(joint.flops_per_token_forward - joint.flops_per_token_forward_baseline, 4 * 64);
  const Costs dropped = gpt2_costs(R"({"routes": [{"layer": 1, "head": 0, "key": "none", "value": "none"}]})", 1);
  EXPECT_DOUBLE_EQ(dropped.flops_per_token_forward_baseline - dropped.flops_per_token_forward,
                   4 * 64 + 2 * 2 * 768 * 64);
}

TEST(Costs, TheModelsOwnWindowsAndNormsCount) {
  Dimensions size = kGpt2;
  size.windows.assign(12, 0);
  size.windows[3] = 4;
  size.query_key_norm = true;
  const auto cost = [&](const std::string& routing) {
    return count_costs(make_plan(parse_routing(routing, {.layers = 12, .kv_heads = 12})), size, 10, "bf16");
  };
  const Costs plain = gpt2_costs("baseline", 10);
  EXPECT_NEAR(plain.flops_per_token_forward - cost("baseline").flops_per_token_forward, 4 * 64 * 12 * (5.5 - 3.4),
              1e-3);
  EXPECT_EQ(cost("baseline").parameters - plain.parameters, 12 * 2 * 64);
  // Eleven layers project no keys, so they have no key norm.
  EXPECT_EQ(cost("cla(group=12)").parameters - gpt2_costs("cla(group=12)", 10).parameters, (12 + 1) * 64);
  size.windows.pop_back();
  EXPECT_THROW(cost("baseline"), InputError);
}

TEST(Costs, GroupedQueriesAttendOncePerQueryHead) {
  Dimensions grouped = kGpt2;
  grouped.kv_heads = 3;
  const Plan plan = make_plan(baseline_routing({.layers = 12, .kv_heads = 3}));
  const double saved_weights = 2.0 * 12 * 9 * 64 * 768;
  EXPECT_DOUBLE_EQ(count_costs(plan, grouped, 7, "bf16").flops_per_token_forward,
                   gpt2_costs("baseline", 7).flops_per_token_forward - 2 * saved_weights);
}

TEST(Costs, RefusesSizesThatAreNotThePlans) {
  const Plan plan = make_plan(baseline_routing({.layers = 6, .kv_heads = 5}));
  EXPECT_THROW(count_costs(plan, kGpt2, 1024, "bf16"), InputError);
  Dimensions empty = kGpt2;
  empty.width = 0;
  EXPECT_THROW(count_costs(make_plan(baseline_routing(kGpt2Shape)), empty, 1, "bf16"), InputError);
  EXPECT_THROW(gpt2_costs("baseline", 0), InputError);
  Dimensions uneven = kGpt2;
  uneven.heads = 18;
  EXPECT_THROW(count_costs(make_plan(baseline_routing(kGpt2Shape)), uneven, 1, "bf16"), InputError);
}

}  // namespace
}  // namespace skipattn::routing
