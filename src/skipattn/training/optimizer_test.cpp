#include "skipattn/training/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace skipattn::training {
namespace {

/// Parameters of several chunks, of less than one, of odd sizes, of none, in both types.
std::vector<AdamWSlot> make_slots() {
  at::manual_seed(3);
  std::vector<AdamWSlot> slots;
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{129, 257}, {7}, {0, 5}, {64, 32}})
    for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
      AdamWSlot slot;
      slot.master = at::randn(shape, at::kFloat);
      slot.compute = compute == at::kFloat ? slot.master : slot.master.to(compute);
      slot.first_moment = at::zeros_like(slot.master);
      slot.second_moment = at::zeros_like(slot.master);
      slot.decays = shape.size() > 1;
      slots.push_back(slot);
    }
  return slots;
}

std::vector<at::Tensor> make_gradients(const std::vector<AdamWSlot>& slots) {
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < slots.size(); ++i)
    gradients.push_back(at::zeros_like(slots[i].master).to(i % 3 == 0 ? at::kBFloat16 : at::kFloat));
  // One that does not begin where four elements do.
  gradients[3] = at::zeros({slots[3].master.numel() + 1}).narrow(0, 1, slots[3].master.numel());
  return gradients;
}

double norm_of(const std::vector<at::Tensor>& gradients) {
  double sum = 0;
  for (const at::Tensor& gradient : gradients) sum += gradient.to(at::kDouble).square().sum().item<double>();
  return std::sqrt(sum);
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

at::Tensor scalar(double value) {
  return at::full({}, value, at::kDouble);
}

TEST(ParameterUpdate, EqualsTheReferenceOverSeveralSteps) {
  for (const double clip : {0.0, 30.0}) {
    std::vector<AdamWSlot> fast = make_slots(), plain = make_slots();
    const std::vector<at::Tensor> gradients = make_gradients(fast);
    const AdamWOptions options{.weight_decay = 0.3, .grad_clip = clip};
    ParameterUpdate update(fast, gradients, options);
    for (int64_t step = 1; step <= 5; ++step) {
      for (const at::Tensor& gradient : gradients) at::Tensor(gradient).normal_();
      update.prepare(step, 1e-2);
      update.run(scalar(1.5));
      const fused::StepResult result = update.read();
      const double norm = norm_of(gradients), scale = clip > 0 ? clip / (norm + 1e-6) : 1.0;
      EXPECT_NEAR(result.norm, norm, 1e-9 * norm);
      EXPECT_NEAR(result.gradient_scale, scale, 1e-9);
      EXPECT_EQ(result.loss, 1.5);
      EXPECT_EQ(result.skipped, 0.0);
      for (size_t i = 0; i < plain.size(); ++i)
        adamw_step_reference(plain[i], gradients[i].view(plain[i].master.sizes()), scale, 1e-2, step, options);
    }
    for (size_t i = 0; i < fast.size(); ++i) {
      EXPECT_LT(largest_difference(fast[i].master, plain[i].master), 2e-6);
      EXPECT_LT(largest_difference(fast[i].first_moment, plain[i].first_moment), 1e-6);
      EXPECT_LT(largest_difference(fast[i].second_moment, plain[i].second_moment), 1e-6);
      EXPECT_EQ(largest_difference(fast[i].compute, fast[i].master.to(fast[i].compute.scalar_type())), 0.0);
    }
  }
}

TEST(ParameterUpdate, SmallGradientsAreNotClipped) {
  const std::vector<AdamWSlot> slots = make_slots();
  const std::vector<at::Tensor> gradients = make_gradients(slots);
  at::Tensor(gradients[0]).fill_(1e-4);
  ParameterUpdate update(slots, gradients, {.grad_clip = 1.0});
  update.prepare(1, 1e-2);
  update.run(scalar(0));
  EXPECT_EQ(update.read().gradient_scale, 1.0);
}

TEST(ParameterUpdate, WhatIsNotFiniteChangesNothing) {
  const double not_a_number = std::numeric_limits<double>::quiet_NaN(), infinite = INFINITY;
  for (const auto& [loss, gradient] :
       std::vector<std::pair<double, double>>{{not_a_number, 0.1}, {infinite, 0.1}, {1, not_a_number}, {1, infinite}}) {
    const std::vector<AdamWSlot> slots = make_slots(), before = make_slots();
    const std::vector<at::Tensor> gradients = make_gradients(slots);
    at::Tensor(gradients[1]).select(0, 128).fill_(gradient);
    ParameterUpdate update(slots, gradients, {.grad_clip = 1.0});
    update.prepare(1, 1e-2);
    update.run(scalar(loss));
    EXPECT_EQ(update.read().skipped, 1.0);
    for (size_t i = 0; i < slots.size(); ++i) {
      EXPECT_TRUE(at::equal(slots[i].master, before[i].master));
      EXPECT_TRUE(at::equal(slots[i].first_moment, before[i].first_moment));
      EXPECT_TRUE(at::equal(slots[i].compute, before[i].compute));
    }
  }
}

TEST(ParameterUpdate, TheNormDoesNotDependOnThreads) {
  const std::vector<AdamWSlot> slots = make_slots();
  const std::vector<at::Tensor> gradients = make_gradients(slots);
  for (const at::Tensor& gradient : gradients) at::Tensor(gradient).normal_();
  const int threads = at::get_num_threads();
  std::vector<double> norms;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    ParameterUpdate update(slots, gradients, {});
    update.prepare(1, 0.0);
    update.run(scalar(0));
    norms.push_back(update.read().norm);
  }
  at::set_num_threads(threads);
  EXPECT_EQ(norms[0], norms[1]);
  EXPECT_EQ(norms[0], norms[2]);
}

}  // namespace
}  // namespace skipattn::training
