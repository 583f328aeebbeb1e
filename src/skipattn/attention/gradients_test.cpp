// What accuracy_test.cpp cannot see because it compares with another derivative: central differences through the operator,
// sources that several calls read, the backward operator called by hand, memory that nobody reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/problem.h"
#include "skipattn/attention/reference.h"

namespace skipattn::attention::test {
namespace {

/// sum(output * grad_output), without autograd.
double weighted_sum(const Inputs& inputs) {
  at::NoGradGuard no_grad;
  const Result result = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  return (result.output * inputs.grad_output).sum().item<double>();
}

/// The largest difference between a gradient and central differences over every element of `tensor`.
double difference_quotient_error(const Inputs& inputs, at::Tensor tensor, const at::Tensor& gradient) {
  constexpr double kStep = 1e-5;
  at::NoGradGuard no_grad;
  at::Tensor quotients = at::empty(tensor.sizes(), at::kDouble);
  at::Tensor flat = quotients.view(-1);
  for (int64_t i = 0; i < flat.numel(); ++i) {
    at::Tensor element = tensor;
    int64_t rest = i;
    for (int64_t d = tensor.dim() - 1; d >= 0; --d) {
      element = element.select(d, rest % tensor.size(d));
      rest /= tensor.size(d);
    }
    const double value = element.item<double>();
    element.fill_(value + kStep);
    const double above = weighted_sum(inputs);
    element.fill_(value - kStep);
    const double below = weighted_sum(inputs);
    element.fill_(value);
    flat[i] = (above - below) / (2 * kStep);
  }
  return max_difference(quotients, gradient);
}

TEST(Gradients, AgreeWithCentralDifferences) {
  const OneThread one_thread;
  for (const Routes routes : {Routes::kSkip, Routes::kJointRepeat, Routes::kSomeEmpty}) {
    for (const First first : {First::kNone, First::kPadding, First::kWindow}) {
      for (const double dropout : {0.0, 0.3}) {
        const Case c{.batch = 1,
                     .heads = 4,
                     .kv_heads = 2,
                     .queries = 5,
                     .earlier_keys = 2,
                     .head_width = 3,
                     .dtype = at::kDouble,
                     .first = first,
                     .routes = routes,
                     .dropout_p = dropout};
        SCOPED_TRACE(::testing::PrintToString(c));
        const Inputs inputs = make_inputs(c).to(at::kDouble, true);
        const Outcome outcome = run(routed_attention, inputs);
        EXPECT_LT(difference_quotient_error(inputs, inputs.query, outcome.grad_query), 1e-8);
        for (size_t i = 0; i < inputs.sources.size(); ++i) {
          EXPECT_LT(difference_quotient_error(inputs, inputs.sources[i], outcome.grad_sources[i]), 1e-8) << i;
        }
      }
    }
  }
}

TEST(Gradients, OfOneSourceReadByTwoLayersAddUp) {
  const auto two_layers = [](Attention attention, const Inputs& inputs) {
    const Result lower = attention(inputs.query, inputs.sources, make_pairs(Routes::kOwn, 4), inputs.options);
    const Result upper = attention(lower.output, inputs.sources, make_pairs(Routes::kJointTwo, 4), inputs.options);
    return torch::autograd::grad({upper.output}, {inputs.query, inputs.sources[4], inputs.sources[5]},
                                 {inputs.grad_output});
  };
  const Inputs inputs = make_inputs({.dtype = at::kDouble});
  const auto ours = two_layers(routed_attention, inputs.to(at::kDouble, true));
  const auto truth = two_layers(routed_attention_reference, inputs.to(at::kDouble, true));
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_LT(max_difference(ours[i], truth[i]), 1e-12) << i;
}

TEST(Gradients, BackwardByHandIsWhatAutogradCalls) {
  for (const double dropout : {0.0, 0.2}) {
    const Inputs inputs = make_inputs({.first = First::kDocuments, .routes = Routes::kSkip, .dropout_p = dropout});
    const Outcome automatic = run(routed_attention, inputs.to(at::kFloat, true));
    const Result result = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
    const Gradients by_hand = routed_attention_backward(inputs.grad_output, inputs.query, inputs.sources, inputs.pairs,
                                                        inputs.options, result);
    EXPECT_TRUE(at::equal(by_hand.query, automatic.grad_query));
    for (size_t i = 0; i < by_hand.sources.size(); ++i) {
      EXPECT_TRUE(at::equal(by_hand.sources[i], automatic.grad_sources[i])) << i;
    }
  }
}

TEST(Gradients, ReferenceBackwardIsTheDerivativeOfTheReference) {
  for (const Routes routes : {Routes::kSkip, Routes::kJointRepeat, Routes::kSomeEmpty}) {
    for (const double dropout : {0.0, 0.3}) {
      const Inputs inputs = make_inputs({.kv_heads = 2,
                                         .queries = 20,
                                         .dtype = at::kDouble,
                                         .first = First::kPadding,
                                         .routes = routes,
                                         .dropout_p = dropout});
      const Outcome truth = run(routed_attention_reference, inputs.to(at::kDouble, true));
      const Gradients written = reference_backward({inputs.query, inputs.sources, inputs.pairs, inputs.options},
                                                   {inputs.grad_output, truth.result.output, truth.result.logsumexp});
      EXPECT_LT(max_difference(written.query, truth.grad_query), 1e-12);
      for (size_t i = 0; i < inputs.sources.size(); ++i) {
        EXPECT_LT(max_difference(written.sources[i], truth.grad_sources[i]), 1e-12) << i;
      }
    }
  }
}

TEST(Gradients, CannotBeDifferentiatedAgain) {
  const Inputs inputs = make_inputs({.queries = 4, .dtype = at::kDouble}).to(at::kDouble, true);
  const Result result = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  const auto first = torch::autograd::grad({result.output.sum()}, {inputs.query}, {}, std::nullopt,
                                           /*create_graph=*/true);
  try {
    torch::autograd::grad({first[0].sum()}, {inputs.query});
    FAIL() << "a second derivative came out";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(), ::testing::HasSubstr("double backward"));
  }
}

TEST(Gradients, NoneFlowsThroughLogsumexp) {
  const Inputs inputs = make_inputs({.queries = 4}).to(at::kFloat, true);
  for (const Attention attention : {routed_attention, routed_attention_reference}) {
    EXPECT_FALSE(attention(inputs.query, inputs.sources, inputs.pairs, inputs.options).logsumexp.requires_grad());
  }
}

TEST(Poison, HeadsThatNobodyReadMayHoldNan) {
  for (const double dropout : {0.0, 0.2}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const Case c{.queries = 70, .dtype = dtype, .routes = Routes::kSkip, .dropout_p = dropout};
      const Inputs clean = make_inputs(c).to(dtype, true), poisoned = make_inputs(c).to(dtype, true);
      {
        at::NoGradGuard no_grad;
        const double nan = std::numeric_limits<double>::quiet_NaN();
        for (const int layer : {2, 3}) poisoned.sources[layer].fill_(nan);                  // read by no head
        for (const int layer : {4, 5}) poisoned.sources[layer].narrow(1, 2, 2).fill_(nan);  // heads 2, 3 skip
        for (const int layer : {0, 1}) poisoned.sources[layer].narrow(1, 3, 1).fill_(nan);  // head 3 reads head 0
      }
      const Outcome a = run(routed_attention, clean), b = run(routed_attention, poisoned);
      EXPECT_TRUE(at::equal(a.result.output, b.result.output));
      EXPECT_TRUE(at::equal(a.result.logsumexp, b.result.logsumexp));
      EXPECT_TRUE(at::equal(a.grad_query, b.grad_query));
      for (size_t i = 0; i < a.grad_sources.size(); ++i) EXPECT_TRUE(at::equal(a.grad_sources[i], b.grad_sources[i]));
      EXPECT_EQ(b.grad_sources[2].abs().max().item<double>(), 0);
    }
  }
}

TEST(Padding, QueriesThatSeeNothingGiveZeros) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const Case c{.queries = 60, .dtype = dtype, .first = First::kPadding};
    const Outcome outcome = run(routed_attention, make_inputs(c).to(dtype, true));
    const at::Tensor padding = outcome.result.output.narrow(2, 0, 20);  // first_key is 20 and more
    EXPECT_EQ(padding.abs().max().item<double>(), 0);
    EXPECT_EQ(outcome.result.logsumexp.narrow(2, 0, 20).max().item<double>(), -INFINITY);
    EXPECT_EQ(outcome.grad_query.narrow(2, 0, 20).abs().max().item<double>(), 0);
    EXPECT_EQ(outcome.grad_sources[4].narrow(2, 0, 20).abs().max().item<double>(), 0);
    EXPECT_GT(outcome.grad_sources[4].select(2, 20).abs().max().item<double>(), 0);
  }
}

}  // namespace
}  // namespace skipattn::attention::test
