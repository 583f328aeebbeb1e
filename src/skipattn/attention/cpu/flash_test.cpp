// The kernels as a training pass calls them: panels that several calls share, and gradients of one source summed over
// the calls of several layers.
#include "skipattn/attention/cpu/flash.h"

#include <gtest/gtest.h>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/cpu/level.h"

namespace skipattn::attention::cpu {
namespace {

using test::ForcedLevel;
using test::Inputs;
using test::levels_for;
using test::make_inputs;

constexpr int64_t kLayers = 3, kHeads = 3;
constexpr double kMark = -7;

/// The attention of one layer and its gradients: layers have queries of their own and share sources.
struct Layer {
  Problem problem;
  Result result;
  at::Tensor grad_output, grad_query;

  Layer(const Inputs& inputs, const HeadPairs& pairs)
      : problem{inputs.query, inputs.sources, pairs, inputs.options},
        result{at::empty_like(inputs.query), at::empty(inputs.query.sizes().slice(0, 3))},
        grad_output(inputs.grad_output),
        grad_query(at::empty_like(inputs.query)) {}
};

class Flash : public ::testing::TestWithParam<std::pair<at::ScalarType, std::string>> {
 protected:
  void SetUp() override { kernels_ = choose_kernels(choose_level(), dtype_, 40); }

  Inputs inputs(uint64_t seed) const {
    return make_inputs({.heads = 2 * kHeads, .kv_heads = kHeads, .queries = 300, .head_width = 40, .dtype = dtype_},
                       seed);
  }
  void forward(Layer& layer, const std::vector<Panels*>& panels) const {
    flash_forward(layer.problem, *kernels_, panels, layer.result);
  }
  void backward(Layer& layer, const std::vector<Panels*>& panels, const std::vector<SourceGradient>& sources) const {
    FlashBackward call{layer.grad_output, layer.result.output, layer.result.logsumexp, layer.grad_query, sources};
    flash_backward(layer.problem, *kernels_, panels, call);
  }
  std::vector<SourceGradient> marked_gradients() const {
    std::vector<SourceGradient> gradients;
    for (const at::Tensor& source : inputs(1).sources) gradients.push_back({at::full_like(source, kMark)});
    return gradients;
  }

  const at::ScalarType dtype_ = GetParam().first;
  const ForcedLevel forced_{GetParam().second};
  const KernelTable* kernels_ = nullptr;
};

std::vector<std::pair<at::ScalarType, std::string>> all_levels() {
  std::vector<std::pair<at::ScalarType, std::string>> all;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const std::string& level : levels_for(dtype, /*with_torch=*/false)) all.emplace_back(dtype, level);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Levels, Flash, ::testing::ValuesIn(all_levels()), [](const auto& param_info) {
  return std::string(toString(param_info.param.first)) + "_" + param_info.param.second;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Flash);

// Lower layer: heads 0 and 1 read their own, head 2 nothing. Upper: own, skipping, and skipping joined with its own.
// Tensors 4 and 5 are the lower layer's keys and values, 0 and 1 the upper's.
const HeadPairs kLower = {{{4, 0, 5, 0}}, {{4, 1, 5, 1}}, {}};
const HeadPairs kUpper = {{{0, 0, 1, 0}}, {{4, 1, 5, 1}}, {{4, 0, 5, 1}, {0, 2, 1, 2}}};

TEST_P(Flash, PanelsServeEveryLayerThatReadsTheSource) {
  Inputs first = inputs(1), second = inputs(2);
  second.sources = first.sources;
  std::vector<Panels> panels(first.sources.size());
  std::vector<Panels*> given;
  for (Panels& panel : panels) given.push_back(&panel);
  given[1] = nullptr;  // made for each call

  Layer kept(first, kLower), fresh(second, kUpper), again(second, kUpper);
  std::vector<SourceGradient> fresh_gradients = marked_gradients(), again_gradients = marked_gradients();
  forward(kept, given);
  backward(kept, given, marked_gradients());
  forward(fresh, {});
  backward(fresh, {}, fresh_gradients);
  for (const int lower : {4, 5}) first.sources[lower].fill_(3);  // what is packed already is not read again
  forward(again, given);
  backward(again, given, again_gradients);
  EXPECT_TRUE(at::equal(again.result.output, fresh.result.output));
  EXPECT_TRUE(at::equal(again.result.logsumexp, fresh.result.logsumexp));
  EXPECT_TRUE(at::equal(again.grad_query, fresh.grad_query));
  for (size_t i = 0; i < again_gradients.size(); ++i)
    EXPECT_TRUE(at::equal(again_gradients[i].out, fresh_gradients[i].out)) << i;

  for (Panels& panel : panels) panel.forget();
  forward(again, given);
  forward(fresh, {});
  EXPECT_TRUE(at::equal(again.result.output, fresh.result.output));
}

TEST_P(Flash, SumsOverCallsAreTheSumsOfOneCall) {
  const Inputs lower_inputs = inputs(1);
  Inputs upper_inputs = inputs(2);
  upper_inputs.sources = lower_inputs.sources;
  Layer lower(lower_inputs, kLower), upper(upper_inputs, kUpper);

  // Both layers as heads of one call, in the order in which the passes come.
  Inputs both = upper_inputs;
  both.query = at::cat({upper_inputs.query, lower_inputs.query}, 1);
  both.grad_output = at::cat({upper_inputs.grad_output, lower_inputs.grad_output}, 1);
  HeadPairs pairs = kUpper;
  pairs.insert(pairs.end(), kLower.begin(), kLower.end());
  Layer joined(both, pairs);
  const std::vector<SourceGradient> expected = marked_gradients();
  forward(joined, {});
  backward(joined, {}, expected);

  std::vector<SourceGradient> gradients = marked_gradients();
  for (const int shared : {4, 5}) {
    gradients[shared].sum = at::full_like(gradients[shared].out, 1e9, at::kFloat);
    gradients[shared].unfinished.assign(kHeads, 1);
  }
  forward(lower, {});
  forward(upper, {});
  backward(upper, {}, gradients);
  for (const int shared : {4, 5}) {
    EXPECT_TRUE(gradients[shared].out.eq(kMark).all().item<bool>()) << "written before it is finished";
    gradients[shared].begun = {static_cast<char>(shared == 4), 1, 0};  // the value of head 0 is the lower layer's alone
    gradients[shared].unfinished.clear();
  }
  backward(lower, {}, gradients);
  for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TRUE(at::equal(gradients[i].out, expected[i].out)) << i;
  EXPECT_TRUE(at::equal(at::cat({upper.grad_query, lower.grad_query}, 1), joined.grad_query));
  EXPECT_TRUE(expected[4].out.select(1, 2).eq(kMark).all().item<bool>()) << "a head without readers is left alone";
  EXPECT_FALSE(expected[4].out.select(1, 1).eq(kMark).any().item<bool>());
}

TEST_P(Flash, SumsOverCallsAreTheGradient) {
  const Inputs lower_inputs = inputs(1);
  Inputs upper_inputs = inputs(2);
  upper_inputs.sources = lower_inputs.sources;
  std::vector<SourceGradient> gradients = marked_gradients();
  for (SourceGradient& gradient : gradients) {
    gradient.sum = at::zeros_like(gradient.out, at::kFloat);
    gradient.begun.assign(kHeads, 1);
  }
  Layer lower(lower_inputs, kLower), upper(upper_inputs, kUpper);
  std::vector<at::Tensor> truth;
  for (Layer* layer : {&upper, &lower}) {
    forward(*layer, {});
    backward(*layer, {}, gradients);
    Inputs exact = (layer == &upper ? upper_inputs : lower_inputs).to(at::kDouble, true);
    exact.pairs = layer->problem.pairs;
    const test::Outcome outcome = run(routed_attention_reference, exact);
    for (size_t i = 0; i < gradients.size(); ++i)
      truth.size() < gradients.size() ? truth.push_back(outcome.grad_sources[i])
                                      : static_cast<void>(truth[i].add_(outcome.grad_sources[i]));
  }
  for (const int source : {0, 1, 4, 5}) {
    const at::Tensor exact = truth[source];
    const double size = exact.abs().max().item<double>();
    EXPECT_LT(test::max_difference(gradients[source].sum, exact) / size, dtype_ == at::kFloat ? 2e-6 : 1e-2) << source;
    EXPECT_TRUE(at::equal(gradients[source].out.select(1, 0), gradients[source].sum.select(1, 0).to(dtype_)));
  }
}

}  // namespace
}  // namespace skipattn::attention::cpu
