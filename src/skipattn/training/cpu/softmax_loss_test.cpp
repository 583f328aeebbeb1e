#include "skipattn/training/cpu/softmax_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

namespace skipattn::training::cpu {
namespace {

TEST(SoftmaxLoss, LossesAndGradientsAreTorchs) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t width : {1, 5, 16, 33, 5003}) {
      at::manual_seed(8);
      const at::Tensor logits = (at::randn({50, width}) * 6).to(dtype);
      const at::Tensor targets = at::randint(0, width, {50}, at::kLong);
      targets[7] = -1;
      const at::Tensor wide = logits.to(at::kDouble), counted = targets.ge(0).unsqueeze(1).to(at::kDouble);
      const at::Tensor index = targets.clamp_min(0).unsqueeze(1);
      const at::Tensor expected = -wide.log_softmax(1).gather(1, index) * counted;
      const at::Tensor slope =
          (wide.softmax(1).scatter_add(1, index, at::full({50, 1}, -1.0, at::kDouble))) * counted * 0.25;

      const at::Tensor losses = at::empty({50}), gradient = logits.clone();
      softmax_loss(gradient, targets, losses, 0.0);
      EXPECT_TRUE(at::equal(gradient, logits));  // no gradient wanted: nothing is written
      EXPECT_LT((losses - expected.squeeze(1)).abs().max().item<double>(), 1e-5);
      softmax_loss(gradient, targets, losses, 0.25);
      EXPECT_LT((losses - expected.squeeze(1)).abs().max().item<double>(), 1e-5);
      // Relative to the element: small gradients matter too.
      const at::Tensor error = (gradient.to(at::kDouble) - slope).abs() / (slope.abs() + 1e-7);
      EXPECT_LT(error.max().item<double>(), dtype == at::kFloat ? 1e-3 : 5e-3) << width;
    }
}

TEST(SoftmaxLoss, WhatIsNotFiniteIsSeenInTheLoss) {
  const at::Tensor targets = at::zeros({1}, at::kLong), losses = at::empty({1});
  for (const int64_t place : {3, 16, 36}) {
    at::Tensor logits = at::randn({1, 37});
    logits[0][place] = std::numeric_limits<float>::quiet_NaN();
    softmax_loss(logits, targets, losses, 0.0);
    EXPECT_TRUE(at::isnan(losses).item<bool>()) << place;
  }
}

TEST(SoftmaxLoss, ATargetOutsideTheVocabularyIsRefused) {
  EXPECT_THROW(softmax_loss(at::zeros({1, 3}), at::full({1}, 3, at::kLong), at::empty({1}), 1.0), c10::IndexError);
}

}  // namespace
}  // namespace skipattn::training::cpu
