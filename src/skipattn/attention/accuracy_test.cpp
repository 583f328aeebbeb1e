// The operator against its definition: output, logsumexp and every gradient, over the product of
// what matters.
#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"

namespace skipattn::attention::test {
namespace {

constexpr std::array<std::pair<int64_t, int64_t>, 4> kHeads = {{{4, 4}, {4, 2}, {4, 1}, {6, 3}}};
constexpr std::array<First, 4> kFirsts = {First::kNone, First::kDocuments, First::kWindow, First::kPadding};
constexpr std::array<Routes, 5> kRoutes = {Routes::kOwn, Routes::kSkip, Routes::kJointTwo, Routes::kJointRepeat,
                                           Routes::kSomeEmpty};

class EveryDtype : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  const OneThread one_thread_;
};
INSTANTIATE_TEST_SUITE_P(Accuracy, EveryDtype, ::testing::Values(at::kDouble, at::kFloat, at::kBFloat16),
                         [](const auto& param_info) { return std::string(toString(param_info.param)); });

TEST_P(EveryDtype, SizesAroundEveryEdge) {
  int turn = 0;  // walks through the other properties
  for (const int64_t queries : {1, 3, 63, 64, 65, 200}) {
    for (const auto& [heads, kv_heads] : kHeads) {
      for (const int64_t width : {8, 32, 64, 80}) {
        expect_accurate({.batch = 1 + turn % 3,
                         .heads = heads,
                         .kv_heads = kv_heads,
                         .queries = queries,
                         .earlier_keys = turn % 2 == 0 ? 0 : 1 + turn % 71,
                         .head_width = width,
                         .dtype = GetParam(),
                         .causal = turn % 4 != 0,
                         .first = kFirsts[turn / 3 % 4],
                         .routes = kRoutes[turn % 5],
                         .strided = turn % 7 != 0,
                         .dropout_p = turn % 6 == 5 ? 0.25 : 0.0});
        ++turn;
      }
    }
  }
}

TEST_P(EveryDtype, EveryMaskWithEveryRouting) {
  for (const First first : kFirsts) {
    for (const Routes routes : kRoutes) {
      for (const bool causal : {true, false}) {
        for (const int64_t earlier : {0, 37}) {
          for (const double dropout : {0.0, 0.4}) {
            expect_accurate({.heads = 4,
                             .kv_heads = 2,
                             .queries = 65,
                             .earlier_keys = earlier,
                             .dtype = GetParam(),
                             .causal = causal,
                             .first = first,
                             .routes = routes,
                             .dropout_p = dropout});
          }
        }
      }
    }
  }
}

TEST_P(EveryDtype, SeveralBlocksOfQueries) {
  for (const First first : kFirsts) {
    for (const bool causal : {true, false}) {
      for (const double dropout : {0.0, 0.1}) {
        expect_accurate({.batch = 2,
                         .heads = 3,
                         .kv_heads = 3,
                         .queries = 600,
                         .earlier_keys = 70,
                         .dtype = GetParam(),
                         .causal = causal,
                         .first = first,
                         .routes = Routes::kSkip,
                         .dropout_p = dropout});
      }
    }
  }
}

TEST_P(EveryDtype, MoreQueriesThanKeys) {
  // The first queries then stand before all keys and see nothing.
  for (const bool causal : {true, false}) {
    for (const First first : {First::kNone, First::kPadding}) {
      expect_accurate({.queries = 90, .earlier_keys = -30, .dtype = GetParam(), .causal = causal, .first = first});
    }
  }
}

TEST_P(EveryDtype, EmptyTensors) {
  for (const Case& c :
       {Case{.batch = 0, .dtype = GetParam()}, Case{.queries = 0, .earlier_keys = 9, .dtype = GetParam()},
        Case{.queries = 9, .earlier_keys = -9, .dtype = GetParam()}}) {
    expect_accurate(c);
  }
}

TEST(Accuracy, OneHeadOfOneNumber) {
  expect_accurate({.batch = 1, .heads = 1, .kv_heads = 1, .queries = 5, .head_width = 1, .routes = Routes::kJointTwo});
}

TEST(Accuracy, AnyStridesOfSourcesAndQuery) {
  // The same key at every position (stride 0), the same values for every head, and a query whose last dimension is not
  // dense: what torch's kernel would misread if it were handed on as it is.
  Inputs inputs = make_inputs({.heads = 2, .kv_heads = 2, .queries = 20, .head_width = 8, .dtype = at::kDouble});
  inputs.sources[4] = inputs.sources[4].narrow(2, 3, 1).expand({2, 2, 20, 8});
  inputs.sources[5] = inputs.sources[5].select(1, 0).unsqueeze(1).expand({2, 2, 20, 8});
  inputs.query = inputs.query.transpose(2, 3).contiguous().transpose(2, 3);
  const Result ours = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  const Result truth = routed_attention_reference(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  EXPECT_LT(max_difference(ours.output, truth.output), 1e-13);
  const auto gradient = [&](const at::Tensor& query, const std::vector<at::Tensor>& sources) {
    return routed_attention_backward(inputs.grad_output, query, sources, inputs.pairs, inputs.options, ours);
  };
  std::vector<at::Tensor> dense;
  for (const at::Tensor& source : inputs.sources) dense.push_back(source.contiguous());
  const Gradients a = gradient(inputs.query, inputs.sources), b = gradient(inputs.query.contiguous(), dense);
  EXPECT_LT(max_difference(a.query, b.query), 1e-13);
  for (size_t i = 0; i < dense.size(); ++i) EXPECT_LT(max_difference(a.sources[i], b.sources[i]), 1e-13) << i;
}

TEST(Accuracy, ScaleIsUsed) {
  Inputs inputs = make_inputs({.dtype = at::kDouble});
  inputs.options.scale = 0.7;
  const auto scaled = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  const auto by_hand = routed_attention_reference(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  EXPECT_LT(max_difference(scaled.output, by_hand.output), 1e-13);
  inputs.options.scale = 1e-30;  // every visible key weighs the same
  const auto mean = routed_attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  const at::Tensor values = inputs.sources[5].select(2, 0) + inputs.sources[5].select(2, 1);
  EXPECT_LT(max_difference(mean.output.select(2, 1), values / 2), 1e-13);
}

}  // namespace
}  // namespace skipattn::attention::test
