#include "skipattn/inference/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "skipattn/core/errors.h"

namespace skipattn::inference {
namespace {

constexpr float kNever = -INFINITY;

std::vector<uint32_t> tokens_of(const std::vector<Candidate>& candidates) {
  std::vector<uint32_t> tokens;
  for (const Candidate& candidate : candidates) tokens.push_back(candidate.token);
  return tokens;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowestIdAmongEquals) {
  const SamplingOptions greedy = {.temperature = 0};
  EXPECT_EQ(Sampler(greedy, 1).next(std::vector<float>{1, 3, 2}), 1U);
  EXPECT_EQ(Sampler(greedy, 1).next(std::vector<float>{1, 3, 3, 3}), 1U);
  EXPECT_EQ(Sampler(greedy, 1).next(std::vector<float>{kNever, -5, kNever}), 1U);
}

TEST(Sampler, ProbabilitiesAreTheSoftmaxOfLogitsOverTemperature) {
  const std::vector<float> logits = {0.5F, -1.0F, 2.0F};
  for (const double temperature : {0.5, 1.0, 3.0}) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit / temperature);
    const std::vector<Candidate> candidates = distribution(logits, {.temperature = temperature});
    ASSERT_EQ(tokens_of(candidates), (std::vector<uint32_t>{0, 1, 2}));
    for (size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(candidates[i].probability, std::exp(logits[i] / temperature) / sum, 1e-12);
  }
}

TEST(Sampler, TopKKeepsExactlyKTheLowerIdsAmongEquals) {
  const std::vector<float> logits = {1, 2, 2, 0, 2, kNever};
  EXPECT_EQ(tokens_of(distribution(logits, {.temperature = 1, .top_k = 1})), (std::vector<uint32_t>{1}));
  EXPECT_EQ(tokens_of(distribution(logits, {.temperature = 1, .top_k = 2})), (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(tokens_of(distribution(logits, {.temperature = 1, .top_k = 4})), (std::vector<uint32_t>{0, 1, 2, 4}));
  EXPECT_EQ(tokens_of(distribution(logits, {.temperature = 1, .top_k = 100})), (std::vector<uint32_t>{0, 1, 2, 3, 4}));
  const std::vector<Candidate> two = distribution(logits, {.temperature = 1, .top_k = 2});
  EXPECT_DOUBLE_EQ(two[0].probability, 0.5);
}

TEST(Sampler, TopPKeepsTheFewestThatHoldItAndAtLeastOne) {
  const std::vector<float> logits = {std::log(0.1F), std::log(0.5F), std::log(0.15F), std::log(0.25F)};
  const auto kept = [&](double top_p, int64_t top_k = 0) {
    return tokens_of(distribution(logits, {.temperature = 1, .top_k = top_k, .top_p = top_p}));
  };
  EXPECT_EQ(kept(1e-9), (std::vector<uint32_t>{1}));
  EXPECT_EQ(kept(0.49), (std::vector<uint32_t>{1}));
  EXPECT_EQ(kept(0.51), (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(kept(0.76), (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(kept(0.95), (std::vector<uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(kept(1.0), (std::vector<uint32_t>{0, 1, 2, 3}));
  // Of what top-k left (0.5 and 0.25, two thirds and one third): 0.6 is in the first.
  EXPECT_EQ(kept(0.6, 2), (std::vector<uint32_t>{1}));
}

TEST(Sampler, PickWalksTheCandidates) {
  const std::vector<Candidate> candidates = {{3, 0.25}, {7, 0.5}, {9, 0.25}};
  EXPECT_EQ(pick(candidates, 0.0), 3U);
  EXPECT_EQ(pick(candidates, 0.2499), 3U);
  EXPECT_EQ(pick(candidates, 0.25), 7U);
  EXPECT_EQ(pick(candidates, 0.7499), 7U);
  EXPECT_EQ(pick(candidates, 0.75), 9U);
  EXPECT_EQ(pick({{3, 0.5}, {7, 0.4999}}, 0.99999), 7U);
}

TEST(Sampler, FrequenciesFollowTheProbabilities) {
  const std::vector<float> logits = {0, std::log(2.0F), std::log(5.0F), kNever};
  Sampler sampler({.temperature = 1}, 5);
  std::map<uint32_t, int> counts;
  constexpr int kDraws = 80000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.next(logits)];
  EXPECT_EQ(counts.size(), 3U);
  const double expected[] = {1.0 / 8, 2.0 / 8, 5.0 / 8};
  for (uint32_t token = 0; token < 3; ++token) {  // within 4.5 deviations
    const double deviation = std::sqrt(kDraws * expected[token] * (1 - expected[token]));
    EXPECT_NEAR(counts[token], kDraws * expected[token], 4.5 * deviation) << token;
  }
}

TEST(Sampler, TheSeedAloneDecides) {
  const std::vector<float> logits(1000, 0.0F);
  const auto draw = [&](uint64_t seed, const SamplingOptions& options) {
    Sampler sampler(options, seed);
    std::vector<uint32_t> tokens;
    for (int i = 0; i < 20; ++i) tokens.push_back(sampler.next(logits));
    return tokens;
  };
  EXPECT_EQ(draw(3, {}), draw(3, {}));
  EXPECT_NE(draw(3, {}), draw(4, {}));
  EXPECT_EQ(draw(3, {}), draw(3, {.top_k = 1000}));  // a filter that keeps everything changes nothing
}

TEST(Sampler, ExtremeTemperaturesAreDefined) {
  const std::vector<float> logits = {1, 3, 2, 3};
  EXPECT_EQ(tokens_of(distribution(logits, {.temperature = 1e-320})), (std::vector<uint32_t>{1, 3}));
  const std::vector<Candidate> flat = distribution(logits, {.temperature = 1e300});
  for (const Candidate& candidate : flat) EXPECT_DOUBLE_EQ(candidate.probability, 0.25);
  const std::vector<float> huge = {-3e38F, 3e38F};
  EXPECT_EQ(tokens_of(distribution(huge, {.temperature = 1})), (std::vector<uint32_t>{1}));
}

TEST(Sampler, BrokenLogitsAreTheModelsFault) {
  EXPECT_THROW(distribution(std::vector<float>{0, NAN}, {}), RunError);
  EXPECT_THROW(distribution(std::vector<float>{NAN, 0}, {.temperature = 0}), RunError);
  EXPECT_THROW(distribution(std::vector<float>{0, INFINITY}, {}), RunError);
  EXPECT_THROW(distribution(std::vector<float>{kNever, kNever}, {}), RunError);
  EXPECT_THROW(distribution(std::vector<float>{}, {}), RunError);
}

TEST(Sampler, WrongOptionsAreAllNamed) {
  try {
    Sampler({.temperature = NAN, .top_k = -1, .top_p = 0}, 1);
    FAIL() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("temperature=nan"), testing::HasSubstr("top_k=-1"),
                                             testing::HasSubstr("top_p=0")));
  }
  EXPECT_THROW(Sampler({.temperature = -1}, 1), InputError);
  EXPECT_THROW(Sampler({.temperature = INFINITY}, 1), InputError);
  EXPECT_THROW(Sampler({.top_p = 1.5}, 1), InputError);
}

TEST(Sampler, MinPKeepsTokensNearTheLikeliest) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0.0f, 0.0f};
  const auto tokens = [&](double min_p) {
    std::vector<uint32_t> kept;
    for (const Candidate& candidate : distribution(logits, {.temperature = 1, .min_p = min_p}))
      kept.push_back(candidate.token);
    return kept;
  };
  EXPECT_EQ(tokens(0.24), (std::vector<uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(tokens(0.3), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(tokens(1), (std::vector<uint32_t>{0}));
  EXPECT_NEAR(distribution(logits, {.temperature = 1, .min_p = 0.3})[0].probability, 2.0 / 3, 1e-6);
}

TEST(Sampler, TokensThatCameBeforeAreLessLikelyOnce) {
  const std::vector<float> logits = {2.0f, 1.5f, -1.0f, 0.5f};
  const SamplingOptions options = {.temperature = 1, .repetition_penalty = 2};
  const std::vector<uint32_t> before = {0, 2, 0, 99};
  const auto plain = distribution(std::vector<float>{1.0f, 1.5f, -2.0f, 0.5f}, {.temperature = 1});
  const auto penalised = distribution(logits, options, before);
  ASSERT_EQ(penalised.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_DOUBLE_EQ(penalised[i].probability, plain[i].probability);
  EXPECT_EQ(Sampler({.temperature = 0, .repetition_penalty = 2}, 1).next(logits, before), 1U);
  EXPECT_EQ(Sampler({.temperature = 0, .repetition_penalty = 2}, 1).next(logits), 0U);
}

TEST(Sampler, FaultsOfMinPAndThePenaltyAreNamed) {
  FaultList faults;
  SamplingOptions{.min_p = 1.5, .repetition_penalty = 0}.find_faults(faults);
  ASSERT_EQ(faults.faults().size(), 2U);
  EXPECT_NE(faults.faults()[0].find("min_p=1.5"), std::string::npos);
  EXPECT_NE(faults.faults()[1].find("repetition_penalty=0"), std::string::npos);
}

}  // namespace
}  // namespace skipattn::inference
