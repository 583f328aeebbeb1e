#include "skipattn/serving/token_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace skipattn::serving {
namespace {

TEST(TokenReport, RatesTheTokenAndTheLikeliest) {
  const std::vector<float> logits = {std::log(2.F), std::log(5.F), std::log(1.F), std::log(2.F)};
  const TokenReport report = report_token(logits, 2, 3);
  EXPECT_EQ(report.token, 2U);
  EXPECT_NEAR(*report.log_probability, std::log(0.1), 1e-6);
  ASSERT_EQ(report.likeliest.size(), 3U);
  const std::vector<uint32_t> order = {report.likeliest[0].token, report.likeliest[1].token, report.likeliest[2].token};
  EXPECT_EQ(order, (std::vector<uint32_t>{1, 0, 3}));  // 0 and 3 are equal: the lower id first
  EXPECT_NEAR(report.likeliest[0].log_probability, std::log(0.5), 1e-6);
}

TEST(TokenReport, HoldsForLargeLogitsAndTokensThatCannotCome) {
  const std::vector<float> logits = {1000.F, -std::numeric_limits<float>::infinity(), 1000.F};
  EXPECT_NEAR(*report_token(logits, 0, 0).log_probability, std::log(0.5), 1e-6);
  EXPECT_EQ(report_token(logits, 0, 9).likeliest.size(), 3U);
  EXPECT_TRUE(std::isinf(*report_token(logits, 1, 0).log_probability));
}

TEST(TokenReport, TheLikeliestTokenIsRatedTheSameBothWays) {
  const std::vector<float> logits = {0.3F, 1.7F, -2.F};
  const TokenReport report = report_token(logits, 1, 1);
  EXPECT_EQ(*report.log_probability, report.likeliest[0].log_probability);  // bit for bit: evaluators compare them
}

}  // namespace
}  // namespace skipattn::serving
