// The way from a problem to calls and back, with a stand-in for the device's kernels, against the definition in fp64.
#include "skipattn/attention/cuda/routed.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "skipattn/attention/cuda/blocks.h"
#include "skipattn/attention/cuda/stand_in_test.h"
#include "skipattn/attention/reference.h"

namespace skipattn::attention::cuda::test {
namespace {

using attention::test::Case;
using attention::test::First;
using attention::test::Inputs;
using attention::test::make_inputs;
using attention::test::max_difference;
using attention::test::Outcome;
using attention::test::Routes;

bool has_heads_inner(const at::Tensor& tensor) {
  return tensor.transpose(1, 2).is_contiguous();
}

void expect_same(const Outcome& ours, const Outcome& truth, double tolerance) {
  EXPECT_LT(max_difference(ours.result.output, truth.result.output), tolerance);
  EXPECT_LT(max_difference(ours.result.logsumexp, truth.result.logsumexp), tolerance);
  EXPECT_LT(max_difference(ours.grad_query, truth.grad_query), tolerance);
  for (size_t i = 0; i < truth.grad_sources.size(); ++i)
    EXPECT_LT(max_difference(ours.grad_sources[i], truth.grad_sources[i]), tolerance) << i;
  EXPECT_TRUE(has_heads_inner(ours.result.output) && has_heads_inner(ours.grad_query));
  EXPECT_TRUE(ours.result.logsumexp.is_contiguous());
  for (const at::Tensor& gradient : ours.grad_sources) EXPECT_TRUE(has_heads_inner(gradient));
}

void expect_exact(const Inputs& inputs) {
  const PlainAttention plain;
  const Outcome truth = run(routed_attention_reference, inputs.to(at::kDouble, true));
  expect_same(run_routed(inputs, {&plain}), truth, 1e-12);
}

class Routed : public ::testing::Test {
 protected:
  const attention::test::OneThread one_thread_;
};

TEST_F(Routed, EveryRoutingMaskAndGrouping) {
  int turn = 0;
  for (const Routes routes : kRoutes) {
    for (const First first : {First::kNone, First::kDocuments, First::kWindow, First::kPadding, First::kAnyOrder}) {
      for (const auto& [heads, kv_heads] : {std::pair{4, 4}, {6, 3}, {8, 4}, {3, 1}}) {
        const Case c{.batch = 1 + turn % 2,
                     .heads = heads,
                     .kv_heads = kv_heads,
                     .queries = 21,
                     .earlier_keys = turn % 3 == 0 ? 0 : 6,
                     .head_width = 5,
                     .dtype = at::kDouble,
                     .causal = turn % 5 != 0,
                     .first = first,
                     .routes = routes,
                     .strided = turn % 7 != 0};
        const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
        expect_exact(make_inputs(c));
        ++turn;
      }
    }
  }
}

TEST_F(Routed, TablesWithoutOrder) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const int64_t kv_heads = 1 + static_cast<int64_t>(seed % 6);
    Inputs inputs = make_inputs({.heads = kv_heads * (1 + static_cast<int64_t>(seed % 3)),
                                 .kv_heads = kv_heads,
                                 .queries = 9,
                                 .head_width = 4,
                                 .dtype = at::kDouble});
    inputs.pairs = random_pairs(kv_heads, 6, seed);
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, seed);
    expect_exact(inputs);
  }
}

TEST_F(Routed, NoQueriesNoKeysNoBatch) {
  for (const Case& c :
       {Case{.batch = 0, .dtype = at::kDouble}, Case{.queries = 0, .earlier_keys = 9, .dtype = at::kDouble},
        Case{.queries = 9, .earlier_keys = -9, .dtype = at::kDouble},
        Case{.queries = 30, .earlier_keys = -11, .dtype = at::kDouble}})
    expect_exact(make_inputs(c));
}

TEST_F(Routed, CallsOncePerGroup) {
  const PlainAttention plain;
  for (const auto& [routes, calls] :
       {std::pair{Routes::kOwn, 1}, {Routes::kSkip, 3}, {Routes::kJointTwo, 2}, {Routes::kShared, 2}}) {
    plain.forwards = plain.backwards = 0;
    run_routed(make_inputs({.queries = 5, .dtype = at::kDouble, .routes = routes}), {&plain});
    EXPECT_EQ(plain.forwards, calls);
    EXPECT_EQ(plain.backwards, calls);
  }
}

TEST_F(Routed, WhatNobodySupportsGoesByTheDefinition) {
  const Inputs inputs = make_inputs({.dtype = at::kDouble, .first = First::kWindow, .routes = Routes::kJointTwo});
  expect_same(run_routed(inputs, {}), run(routed_attention_reference, inputs.to(at::kDouble, true)), 1e-12);
  const PlainAttention plain;
  setenv("SKIPATTN_CUDA_ATTENTION", "reference", 1);
  run_routed(inputs, {&plain});
  unsetenv("SKIPATTN_CUDA_ATTENTION");
  EXPECT_EQ(plain.forwards, 0);
}

TEST_F(Routed, DropoutHasTheDefinitionsMasks) {
  const PlainAttention plain;
  const Inputs inputs = make_inputs(
      {.kv_heads = 2, .queries = 40, .dtype = at::kDouble, .routes = Routes::kJointRepeat, .dropout_p = 0.3});
  expect_same(run_routed(inputs, {&plain}), run(routed_attention_reference, inputs.to(at::kDouble, true)), 1e-12);
  EXPECT_EQ(plain.forwards, 0);
}

TEST_F(Routed, BlocksAreTheDefinitionHoweverItIsCut) {
  for (const double dropout : {0.0, 0.3}) {
    for (const bool causal : {true, false}) {
      for (const int64_t earlier : {0, 13, -13}) {
        const Inputs inputs = make_inputs({.heads = 4,
                                           .kv_heads = 2,
                                           .queries = 37,
                                           .earlier_keys = earlier,
                                           .dtype = at::kDouble,
                                           .causal = causal,
                                           .first = First::kAnyOrder,
                                           .routes = Routes::kJointTwo,
                                           .dropout_p = dropout});
        const Outcome truth = run(routed_attention_reference, inputs.to(at::kDouble, true));
        const Problem problem{inputs.query, inputs.sources, inputs.pairs, inputs.options};
        const int64_t scores = 5 * inputs.query.size(0) * 2 * problem.keys();  // 5 queries a block
        Outcome ours;
        ours.result = blocks_forward(problem, scores);
        const Gradients gradients =
            blocks_backward(problem, {inputs.grad_output, ours.result.output, ours.result.logsumexp}, scores);
        ours.grad_query = gradients.query;
        ours.grad_sources = gradients.sources;
        expect_same(ours, truth, 1e-12);
      }
    }
  }
}

TEST_F(Routed, HeadsThatNobodyReadMayHoldNan) {
  const PlainAttention plain;
  const Inputs clean = make_inputs({.queries = 9, .dtype = at::kDouble, .routes = Routes::kSkip}), poisoned = clean;
  const Outcome before = run_routed(clean, {&plain});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const int layer : {2, 3}) at::Tensor(poisoned.sources[layer]).fill_(nan);
  for (const int layer : {4, 5}) poisoned.sources[layer].narrow(1, 2, 2).fill_(nan);
  expect_same(run_routed(poisoned, {&plain}), before, 1e-300);
}

}  // namespace
}  // namespace skipattn::attention::cuda::test
