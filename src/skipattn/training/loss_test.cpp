#include "skipattn/training/loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::training {
namespace {

struct Case {
  at::Tensor hidden, weight, targets;
};

Case make_case(at::ScalarType dtype, int64_t rows, int64_t vocabulary) {
  at::manual_seed(5);
  Case result;
  result.hidden = at::randn({rows, 24}, at::kDouble).to(dtype).requires_grad_();
  result.weight = at::randn({vocabulary, 24}, at::kDouble).to(dtype).requires_grad_();
  result.targets = at::randint(0, vocabulary, {rows}, at::kLong);
  result.targets[2] = -1;
  return result;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(Loss, ChunkedEqualsTheReferenceWithGradients) {
  // More rows than one chunk of this vocabulary, and not a multiple of it.
  const int64_t vocabulary = 70000, rows = 2 * loss_chunk_rows(vocabulary) + 7;
  Case ours = make_case(at::kDouble, rows, vocabulary), plain = make_case(at::kDouble, rows, vocabulary);
  const at::Tensor loss = cross_entropy(ours.hidden, ours.weight, ours.targets);
  const at::Tensor expected = cross_entropy_reference(plain.hidden, plain.weight, plain.targets);
  EXPECT_LT(largest_difference(loss, expected), 1e-12);
  (loss * 3).backward();
  (expected * 3).backward();
  EXPECT_LT(largest_difference(ours.hidden.grad(), plain.hidden.grad()), 1e-13);
  EXPECT_LT(largest_difference(ours.weight.grad(), plain.weight.grad()), 1e-13);
}

TEST(Loss, Bf16ErrorIsThatOfTheNaiveRun) {
  const int64_t rows = 300;
  Case ours = make_case(at::kBFloat16, rows, 1000), naive = make_case(at::kBFloat16, rows, 1000);
  Case exact = make_case(at::kBFloat16, rows, 1000);
  exact.hidden = exact.hidden.detach().to(at::kDouble).requires_grad_();
  exact.weight = exact.weight.detach().to(at::kDouble).requires_grad_();
  cross_entropy(ours.hidden, ours.weight, ours.targets).backward();
  cross_entropy_reference(naive.hidden, naive.weight, naive.targets).backward();
  cross_entropy_reference(exact.hidden, exact.weight, exact.targets).backward();
  for (const auto member : {&Case::hidden, &Case::weight}) {
    const double error = largest_difference((ours.*member).grad(), (exact.*member).grad());
    const double naive_error = largest_difference((naive.*member).grad(), (exact.*member).grad());
    EXPECT_LT(error, 3 * naive_error + 1e-7);
  }
}

TEST(Loss, WithoutAutogradTheSameLossAndGradients) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    // Several chunks of uneven size, and twice, so that the weight's gradient adds up.
    const int64_t vocabulary = 5003, rows = 107;
    const int64_t scratch = loss_scratch_bytes(rows, vocabulary, at::TensorOptions(dtype)) / 4;
    const Case ours = make_case(dtype, rows, vocabulary);
    Case exact = make_case(dtype, rows, vocabulary), naive = make_case(dtype, rows, vocabulary);
    exact.hidden = exact.hidden.detach().to(at::kDouble).requires_grad_();
    exact.weight = exact.weight.detach().to(at::kDouble).requires_grad_();
    const at::Tensor loss = cross_entropy_reference(exact.hidden, exact.weight, exact.targets);
    (loss * 0.5).backward();
    const at::Tensor naive_loss = cross_entropy_reference(naive.hidden, naive.weight, naive.targets);
    (naive_loss * 0.5).backward();
    const double limit = 2 * largest_difference(naive_loss, loss) + 1e-5;

    const LossGradients gradients{.hidden = at::empty_like(ours.hidden),
                                  .weight = at::ones({vocabulary, 24}),
                                  .scale = 0.5,
                                  .scratch = at::empty({scratch}, at::kByte)};
    LossGradients again = gradients;
    again.add = true;
    for (const LossGradients& call : {gradients, again})
      EXPECT_NEAR(loss_and_gradients(ours.hidden.detach(), ours.weight.detach(), ours.targets, call).item<double>(),
                  loss.item<double>(), limit);
    const auto expect_close = [](const at::Tensor& found, const at::Tensor& plain, const at::Tensor& reference) {
      EXPECT_LT(largest_difference(found, reference), 3 * largest_difference(plain, reference) + 1e-9);
    };
    expect_close(gradients.hidden, naive.hidden.grad(), exact.hidden.grad());
    expect_close(gradients.weight / 2, naive.weight.grad(), exact.weight.grad());
  }
}

TEST(Loss, PaddingOfTheHeadChangesNothing) {
  const int64_t vocabulary = 61, width = 64, rows = 100;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Case data = make_case(dtype, rows, vocabulary);
    const at::Tensor hidden = data.hidden.detach(), head = data.weight.detach();
    const at::Tensor padded = at::cat({head, at::zeros({width - vocabulary, 24}, dtype)});
    const int64_t scratch = loss_scratch_bytes(rows, width, at::TensorOptions(dtype)) / 3;
    const LossGradients plain{.hidden = at::empty_like(hidden),
                              .weight = at::ones({vocabulary, 24}),
                              .scratch = at::empty({scratch}, at::kByte)};
    LossGradients call = plain;
    call.hidden = at::empty_like(hidden);
    call.weight = at::ones({width, 24});
    call.vocabulary = vocabulary;
    const at::Tensor expected = loss_and_gradients(hidden, head, data.targets, plain);
    const at::Tensor found = loss_and_gradients(hidden, padded, data.targets, call);
    EXPECT_LT(largest_difference(found, expected), 1e-6);
    EXPECT_LT(largest_difference(call.hidden, plain.hidden), dtype == at::kFloat ? 1e-6 : 1e-3);
    EXPECT_LT(largest_difference(call.weight.narrow(0, 0, vocabulary), plain.weight),
              dtype == at::kFloat ? 1e-6 : 1e-3);
    EXPECT_TRUE(call.weight.narrow(0, vocabulary, width - vocabulary).eq(0).all().item<bool>());
  }
}

TEST(Loss, TokenLossesAverageToTheLossAndSkipMinusOne) {
  const Case data = make_case(at::kFloat, 100, 50);
  const at::Tensor losses = token_losses(data.hidden, data.weight, data.targets);
  EXPECT_EQ(losses[2].item<double>(), 0.0);
  const double mean = losses.sum().item<double>() / 99;
  EXPECT_NEAR(mean, cross_entropy_reference(data.hidden, data.weight, data.targets).item<double>(), 1e-5);
}

}  // namespace
}  // namespace skipattn::training
