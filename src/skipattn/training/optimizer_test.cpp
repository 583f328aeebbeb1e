#include "skipattn/training/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace skipattn::training {
namespace {

AdamWSlot make_slot(at::ScalarType compute, bool decays) {
  at::manual_seed(3);
  AdamWSlot slot;
  slot.master = at::randn({129, 257}, at::kFloat);
  slot.compute = compute == at::kFloat ? slot.master : slot.master.to(compute);
  slot.first_moment = at::zeros_like(slot.master);
  slot.second_moment = at::zeros_like(slot.master);
  slot.decays = decays;
  return slot;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(AdamW, EqualsTheReferenceOverSeveralSteps) {
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16})
    for (const at::ScalarType grad_type : {at::kFloat, at::kBFloat16})
      for (const bool decays : {false, true}) {
        AdamWSlot fast = make_slot(compute, decays), plain = make_slot(compute, decays);
        const AdamWOptions options{.weight_decay = 0.3};
        for (int64_t step = 1; step <= 5; ++step) {
          const at::Tensor gradient = at::randn({129, 257}, at::kFloat).to(grad_type);
          adamw_step(fast, gradient, 0.5, 1e-2, step, options);
          adamw_step_reference(plain, gradient, 0.5, 1e-2, step, options);
        }
        EXPECT_LT(largest_difference(fast.master, plain.master), 2e-6);
        EXPECT_LT(largest_difference(fast.first_moment, plain.first_moment), 1e-6);
        EXPECT_LT(largest_difference(fast.second_moment, plain.second_moment), 1e-6);
        EXPECT_EQ(largest_difference(fast.compute, fast.master.to(compute)), 0.0);
      }
}

TEST(AdamW, TheNormIsThatOfAllGradientsAndDoesNotDependOnThreads) {
  const std::vector<at::Tensor> gradients = {at::randn({100000}), at::randn({77, 33}).to(at::kBFloat16)};
  const double exact = std::sqrt(gradients[0].to(at::kDouble).square().sum().item<double>() +
                                 gradients[1].to(at::kDouble).square().sum().item<double>());
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = global_norm(gradients);
  at::set_num_threads(2);
  const double two = global_norm(gradients);
  at::set_num_threads(threads);
  EXPECT_EQ(one, two);
  EXPECT_NEAR(one, exact, 1e-9 * exact);
}

}  // namespace
}  // namespace skipattn::training
