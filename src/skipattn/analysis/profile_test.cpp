#include "skipattn/analysis/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "skipattn/analysis/memory_bandwidth.h"
#include "skipattn/analysis/step_comparison.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"

namespace skipattn::analysis {
namespace {

model::ModelConfig small_config() {
  model::ModelConfig config;
  config.layers = 2;
  config.heads = 2;
  config.width = 16;
  config.vocabulary = 60;
  config.positions = 32;
  config.resolve();
  return config;
}

model::Decoder small_model() {
  model::Decoder decoder(small_config());
  decoder.initialize(1);
  return decoder;
}

const training::Machine kMachine = {.description = "test"};

/// Sleeps instead of computing, and writes its letter into a diary.
class Sleeper : public Workload {
 public:
  Sleeper(char letter, int milliseconds, std::string& diary)
      : letter_(letter), milliseconds_(milliseconds), diary_(diary) {}
  void prepare() override { std::this_thread::sleep_for(std::chrono::milliseconds(10 * milliseconds_)); }
  void step() override {
    diary_ += letter_;
    const OperationTimer timer("sleep");
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds_));
  }
  StepFacts facts() const override { return {.flops = {.attention = 1e6}, .tokens = 10}; }

 private:
  char letter_;
  int milliseconds_;
  std::string& diary_;
};

TEST(Spread, IsTheSmallestTheMiddleAndTheLargest) {
  const Spread odd = spread_of(std::vector<double>{3, 1, 9});
  EXPECT_EQ(std::tuple(odd.min, odd.median, odd.max), std::tuple(1.0, 3.0, 9.0));
  EXPECT_EQ(spread_of(std::vector<double>{4, 1, 9, 2}).median, 3);
  EXPECT_TRUE(std::isnan(spread_of({}).median));
}

TEST(Operations, SharesSumToOneTheLongestFirstOtherLast) {
  const std::vector<Operation> operations = to_operations({{"a", 1.0, 3}, {"other", 2.0, 1}, {"b", 4.0, 1}}, 10.0, 5);
  ASSERT_EQ(operations.size(), 3);
  EXPECT_EQ(operations[0].name, "b");
  EXPECT_DOUBLE_EQ(operations[0].seconds, 0.8);
  EXPECT_DOUBLE_EQ(operations[0].share, 0.4);
  EXPECT_EQ(operations[2].name, "other");
  EXPECT_DOUBLE_EQ(operations[2].share, 0.5);
}

TEST(Profile, TheRooflineIsTheLongerOfComputingAndReading) {
  Profile profile;
  profile.step.median = 0.5;
  profile.facts.flops = {.matrix_products = 60, .attention = 30, .vocabulary_head = 10};
  profile.facts.bytes_read = 40;
  profile.facts.tokens = 8;
  profile.gemm_peak = 1000;
  EXPECT_DOUBLE_EQ(profile.tokens_per_second(), 16);
  EXPECT_DOUBLE_EQ(profile.achieved_flops(), 200);
  EXPECT_DOUBLE_EQ(profile.utilisation(), 0.2);
  EXPECT_DOUBLE_EQ(profile.roofline_seconds(), 0.1);
  EXPECT_DOUBLE_EQ(profile.roofline_share(), 0.2);
  profile.memory_bandwidth = 100;
  EXPECT_DOUBLE_EQ(profile.roofline_seconds(), 0.4);
  profile.memory_bandwidth = 1e6;
  EXPECT_DOUBLE_EQ(profile.roofline_seconds(), 0.1);
}

TEST(Profile, TimesTheStepAloneAndCoversItByOperations) {
  std::string diary;
  Sleeper sleeper('s', 5, diary);
  const model::Decoder decoder = small_model();
  const Profile profile = measure(sleeper, decoder, {.batch = 1, .context = 8}, {.steps = 3, .warmup = 2});
  EXPECT_EQ(diary, "sssss");
  EXPECT_EQ(profile.step_seconds.size(), 3);
  EXPECT_GE(profile.step.min, 5e-3);
  EXPECT_LT(profile.step.min, 40e-3);  // prepare() takes 50 ms
  ASSERT_EQ(profile.operations.size(), 2);
  EXPECT_EQ(profile.operations[0].name, "sleep");
  EXPECT_GT(profile.operations[0].share, 0.8);
  EXPECT_NEAR(profile.operations[0].share + profile.operations[1].share, 1, 1e-12);
  EXPECT_FALSE(operation_timers_enabled());
}

TEST(Profile, MeasuresTheMachineAndTheMemory) {
  for (const Mode mode : {Mode::kTrain, Mode::kPrefill, Mode::kDecode}) {
    model::Decoder decoder = small_model();
    const WorkloadOptions options = {.mode = mode, .batch = 2, .context = 8};
    const auto workload = make_workload(decoder, options, kMachine);
    const Profile profile = measure(*workload, decoder, options, {.steps = 2, .warmup = 1});
    EXPECT_GT(profile.gemm_peak, 1e6);
    EXPECT_EQ(profile.gemm_shape.rows, mode == Mode::kDecode ? kMostGemmRows : 16);
    EXPECT_EQ(profile.memory_bandwidth > 0, mode == Mode::kDecode);
    EXPECT_GT(profile.peak_memory_bytes, 1 << 20);
    EXPECT_TRUE(profile.page_faults_per_step.has_value());
    EXPECT_EQ(profile.first_loss.has_value(), mode == Mode::kTrain);
    double share = 0;
    for (const Operation& operation : profile.operations) share += operation.share;
    EXPECT_NEAR(share, 1, 1e-9);
  }
}

TEST(Profile, PageFaultsOfTheFirstTwoStepsDoNotCount) {
  std::string diary;
  Sleeper sleeper('s', 1, diary);
  const model::Decoder decoder = small_model();
  EXPECT_FALSE(measure(sleeper, decoder, {.context = 8}, {.steps = 1, .warmup = 1}).page_faults_per_step.has_value());
}

TEST(Profile, ASignalEndsIt) {
  std::string diary;
  Sleeper sleeper('s', 1, diary);
  const model::Decoder decoder = small_model();
  request_stop();
  EXPECT_THROW(measure(sleeper, decoder, {.context = 8}, {}), Stopped);
  clear_stop_request();
  EXPECT_EQ(diary, "");
}

TEST(StepComparison, PairsChangeTheirOrder) {
  std::string diary;
  Sleeper first('a', 1, diary), second('b', 4, diary);
  const StepPairs pairs = alternate(first, second, {.pairs = 3, .warmup = 1});
  EXPECT_EQ(diary, "baabbaab");
  ASSERT_EQ(pairs.first.size(), 3);
  ASSERT_EQ(pairs.second.size(), 3);
  for (const double seconds : pairs.second) EXPECT_GE(seconds, 4e-3);
  EXPECT_LT(spread_of(pairs.first).min, 4e-3);
}

}  // namespace
}  // namespace skipattn::analysis
