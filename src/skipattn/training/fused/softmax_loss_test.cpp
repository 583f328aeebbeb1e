#include "skipattn/training/fused/softmax_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace skipattn::training::fused {
namespace {

constexpr int64_t kRows = 50;

struct Width {
  int64_t vocabulary, columns;
};

/// What torch says in fp64: losses [N] and gradients [N, V].
struct Expected {
  at::Tensor losses, gradient;
};
Expected expected(const at::Tensor& logits, const at::Tensor& targets, double scale) {
  const at::Tensor wide = logits.to(at::kDouble), counted = targets.ge(0).unsqueeze(1).to(at::kDouble);
  const at::Tensor index = targets.clamp_min(0).unsqueeze(1);
  const at::Tensor one_hot = at::zeros_like(wide).scatter_(1, index, 1.0);
  return {(-wide.log_softmax(1).gather(1, index) * counted).squeeze(1), (wide.softmax(1) - one_hot) * counted * scale};
}

TEST(SoftmaxLoss, LossesAndGradientsAreTorchs) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [vocabulary, columns] : {Width{1, 1}, Width{5, 5}, Width{16, 16}, Width{33, 33}, Width{5003, 5003},
                                              Width{5003, 5056}, Width{61, 64}}) {
      at::manual_seed(8);
      // What stands in the padding does not matter.
      const at::Tensor logits = (at::randn({kRows, columns}) * 6).to(dtype);
      logits.narrow(1, vocabulary, columns - vocabulary).fill_(100);
      const at::Tensor targets = at::randint(0, vocabulary, {kRows}, at::kLong);
      targets[7] = -1;
      const auto [losses, slope] = expected(logits.narrow(1, 0, vocabulary), targets, 0.25);

      SoftmaxLoss call{.logits = logits.clone(), .targets = targets, .losses = at::empty({kRows})};
      call.vocabulary = vocabulary;
      softmax_loss(call);
      EXPECT_TRUE(at::equal(call.logits, logits));  // no gradient wanted: nothing is written
      EXPECT_LT((call.losses - losses).abs().max().item<double>(), 1e-5);
      call.gradient_scale = at::full({}, 0.25f);
      softmax_loss(call);
      EXPECT_LT((call.losses - losses).abs().max().item<double>(), 1e-5);
      // Relative to the element: small gradients matter too.
      const at::Tensor found = call.logits.narrow(1, 0, vocabulary).to(at::kDouble);
      const at::Tensor error = (found - slope).abs() / (slope.abs() + 1e-7);
      EXPECT_LT(error.max().item<double>(), dtype == at::kFloat ? 1e-3 : 5e-3) << vocabulary;
      EXPECT_TRUE(call.logits.narrow(1, vocabulary, columns - vocabulary).eq(0).all().item<bool>());
    }
}

TEST(SoftmaxLoss, WhatIsNotFiniteIsSeenInTheLoss) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    for (const int64_t place : {3, 16, 36}) {
      const at::Tensor losses = at::zeros({1}), logits = at::randn({1, 37});
      logits[0][place] = value;
      softmax_loss({.logits = logits, .targets = at::zeros({1}, at::kLong), .losses = losses, .vocabulary = 37});
      EXPECT_TRUE(at::isnan(losses).item<bool>()) << place;
    }
}

TEST(SoftmaxLoss, ATokenThatCannotComeCostsNothing) {
  const at::Tensor logits = at::zeros({1, 37}), losses = at::empty({1});
  logits.narrow(1, 5, 32).fill_(-std::numeric_limits<float>::infinity());
  softmax_loss({.logits = logits,
                .targets = at::zeros({1}, at::kLong),
                .losses = losses,
                .vocabulary = 37,
                .gradient_scale = at::ones({})});
  EXPECT_NEAR(losses.item<double>(), std::log(5.0), 1e-6);
  EXPECT_NEAR(logits[0][1].item<double>(), 0.2, 1e-6);
  EXPECT_NEAR(logits[0][20].item<double>(), 0.0, 1e-30);
}

TEST(SoftmaxLoss, ATargetOutsideTheVocabularyIsRefused) {
  EXPECT_THROW(softmax_loss({.logits = at::zeros({1, 4}),
                             .targets = at::full({1}, 3, at::kLong),
                             .losses = at::empty({1}),
                             .vocabulary = 3}),
               c10::IndexError);
}

}  // namespace
}  // namespace skipattn::training::fused
