#include "skipattn/analysis/workload.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "skipattn/analysis/gemm_rate.h"
#include "skipattn/analysis/memory_bandwidth.h"
#include "skipattn/core/errors.h"

namespace skipattn::analysis {
namespace {

model::Decoder small_model(const std::string& routing = "baseline") {
  model::ModelConfig config;
  config.layers = 2;
  config.heads = 2;
  config.width = 16;
  config.vocabulary = 60;
  config.positions = 32;
  config.routing = routing;
  model::Decoder decoder(config);
  decoder.initialize(1);
  return decoder;
}

const training::Machine kMachine = {.description = "test"};

TEST(Workload, TrainingStepsMoveTheWeightsFromALossNearLnV) {
  model::Decoder decoder = small_model();
  const at::Tensor before = decoder.parameters().front().clone();
  const auto workload =
      make_workload(decoder, {.mode = Mode::kTrain, .batch = 4, .context = 8, .micro_batch = 2}, kMachine);
  workload->prepare();
  workload->step();
  const StepFacts facts = workload->facts();
  EXPECT_EQ(facts.tokens, 32);
  ASSERT_TRUE(facts.loss.has_value());
  EXPECT_NEAR(*facts.loss, std::log(60), 0.1);
  EXPECT_FALSE(at::equal(before, decoder.parameters().front()));
  EXPECT_DOUBLE_EQ(facts.flops.total(),
                   training_flops(decoder.plan(), decoder.config().dimensions(), {.batch = 4, .context = 8}).total());
}

TEST(Workload, PrefillFillsTheCacheAnewEveryTime) {
  model::Decoder decoder = small_model("sla(distance=1, heads=1)");
  const auto workload = make_workload(decoder, {.mode = Mode::kPrefill, .batch = 3, .context = 32}, kMachine);
  for (int step = 0; step < 2; ++step) {
    workload->prepare();
    workload->step();
    const StepFacts facts = workload->facts();
    EXPECT_EQ(facts.tokens, 96);
    EXPECT_EQ(facts.kv_cache_bytes, 96 * (2 * 2 + 2) * 8 * 2);  // 3 key and 3 value heads of 8 numbers of 2 bytes
    EXPECT_GE(facts.kv_cache_allocated_bytes, facts.kv_cache_bytes);
  }
}

TEST(Workload, DecodingKeepsTheCacheAtItsLength) {
  model::Decoder decoder = small_model();
  const auto workload = make_workload(
      decoder, {.mode = Mode::kDecode, .batch = 3, .context = 32, .cache = inference::Dtype::kFp32}, kMachine);
  for (int step = 0; step < 5; ++step) {
    workload->prepare();
    workload->step();
    const StepFacts facts = workload->facts();
    EXPECT_EQ(facts.tokens, 3);
    EXPECT_EQ(facts.kv_cache_bytes, 3 * 32 * 8 * 8 * 4);
    EXPECT_DOUBLE_EQ(facts.flops.attention, 3 * 4 * 8 * 32 * 2 * 2);
    EXPECT_GT(facts.bytes_read, facts.kv_cache_bytes);
  }
}

TEST(Workload, FaultsAreNamedTogether) {
  model::Decoder decoder = small_model();
  try {
    make_workload(decoder, {.batch = 3, .context = 33, .micro_batch = 2}, kMachine);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("context=33: the model has positions for 32 tokens"));
    EXPECT_THAT(error.what(), testing::HasSubstr("micro_batch=2: must divide batch=3"));
  }
  EXPECT_THROW(make_workload(decoder, {.mode = Mode::kDecode, .context = 1}, kMachine), InputError);
  EXPECT_THROW(make_workload(decoder, {.batch = 0, .context = 1}, kMachine), InputError);
  EXPECT_THROW(parse_mode("decoding"), InputError);
  EXPECT_EQ(parse_mode("decode"), Mode::kDecode);
}

TEST(Workload, RandomTokensDependOnSeedAndDraw) {
  const auto tokens = random_tokens({.batch = 2, .seed = 5}, 100, 7, 0);
  ASSERT_EQ(tokens.size(), 2);
  EXPECT_THAT(tokens[0], testing::AllOf(testing::SizeIs(100), testing::Each(testing::Lt(7)), testing::Contains(6)));
  EXPECT_NE(tokens[0], tokens[1]);
  EXPECT_EQ(tokens, random_tokens({.batch = 2, .seed = 5}, 100, 7, 0));
  EXPECT_NE(tokens, random_tokens({.batch = 2, .seed = 5}, 100, 7, 1));
  EXPECT_NE(tokens, random_tokens({.batch = 2, .seed = 6}, 100, 7, 0));
}

TEST(GemmRate, ShapesAreTheModelsDistinctOnes) {
  const model::Decoder decoder = small_model("sla(distance=1, heads=1)");
  EXPECT_THAT(linear_shapes(decoder.config(), decoder.plan(), 40),
              testing::UnorderedElementsAre(LinearShape{40, 16, 16}, LinearShape{40, 16, 64}, LinearShape{40, 64, 16},
                                            LinearShape{40, 16, 48}, LinearShape{40, 16, 32}));
  EXPECT_DOUBLE_EQ((LinearShape{3, 5, 7}.flops()), 210);
}

TEST(GemmRate, TheBestShapeIsTheOneThatFillsTheMachine) {
  at::set_num_threads(1);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    GemmMeter meter({{1, 8, 1}, {256, 256, 256}}, dtype);
    meter.sample();
    meter.sample();
    EXPECT_EQ(meter.best_shape(), (LinearShape{256, 256, 256}));
    EXPECT_GT(meter.peak(), 1e8);
    EXPECT_LT(meter.peak(), 1e13);
    EXPECT_EQ(meter.bytes(), 3 * 256 * 256 * static_cast<int64_t>(c10::elementSize(dtype)));
  }
}

TEST(MemoryBandwidth, IsThatOfAMemory) {
  TriadMeter meter;
  meter.sample();
  EXPECT_GT(meter.bandwidth(), 1e8);
  EXPECT_LT(meter.bandwidth(), 5e12);
}

}  // namespace
}  // namespace skipattn::analysis
