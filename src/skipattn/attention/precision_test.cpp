// bf16 on our bf16 kernels beside torch's own fused attention: the error of the output and of each gradient against fp64
// is at most 1.1 times torch's.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "skipattn/attention/cases_test.h"
#include "skipattn/attention/cpu/level.h"

namespace skipattn::attention::test {
namespace {

constexpr double kWorseThanTorch = 1.1;

/// |a - b| / |b|, Euclidean.
double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  return ((x - y).norm() / y.norm()).item<double>();
}

/// Output, and gradients of query, keys and values, by torch's fused attention.
std::vector<at::Tensor> run_torch(const Inputs& inputs) {
  const Inputs x = inputs.to(at::kBFloat16, true);
  const at::Tensor output = at::scaled_dot_product_attention(x.query, x.sources[4], x.sources[5], std::nullopt, 0.0,
                                                             x.options.causal, std::nullopt, /*enable_gqa=*/false);
  std::vector<at::Tensor> all = torch::autograd::grad({output}, {x.query, x.sources[4], x.sources[5]}, {x.grad_output});
  all.insert(all.begin(), output);
  return all;
}

std::vector<at::Tensor> run_ours(Attention attention, const Inputs& inputs) {
  const Outcome outcome = run(attention, inputs);
  return {outcome.result.output, outcome.grad_query, outcome.grad_sources[4], outcome.grad_sources[5]};
}

void expect_as_good_as_torch(const Inputs& inputs) {
  const auto truth = run_ours(routed_attention_reference, inputs.to(at::kDouble, true));
  const auto torch = run_torch(inputs);
  const ForcedLevel forced("avx512_bf16");
  const auto ours = run_ours(routed_attention, inputs.to(at::kBFloat16, true));
  constexpr std::array<const char*, 4> kNames = {"output", "grad_query", "grad_key", "grad_value"};
  for (size_t i = 0; i < kNames.size(); ++i)
    EXPECT_LE(relative_error(ours[i], truth[i]), kWorseThanTorch * relative_error(torch[i], truth[i])) << kNames[i];
}

class BesideTorch : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cpu::is_available(cpu::Level::kAvx512Bf16)) GTEST_SKIP() << "this processor or build has no avx512_bf16";
  }
};

TEST_F(BesideTorch, SizesWidthsAndMasks) {
  for (const int64_t queries : {64, 200, 600})
    for (const int64_t width : {32, 64, 80, 128, 256})
      for (const bool causal : {true, false}) {
        if (queries == 600 && width != 64) continue;  // the definition in fp64 takes its time
        const Case c{.batch = 1,
                     .heads = 2,
                     .kv_heads = 2,
                     .queries = queries,
                     .head_width = width,
                     .dtype = at::kBFloat16,
                     .causal = causal};
        SCOPED_TRACE(::testing::PrintToString(c));
        expect_as_good_as_torch(make_inputs(c));
      }
}

TEST_F(BesideTorch, PeakedAndFlatScores) {
  for (const double size : {0.1, 3.0, 10.0}) {
    Inputs inputs =
        make_inputs({.batch = 1, .heads = 2, .kv_heads = 2, .queries = 400, .head_width = 64, .dtype = at::kBFloat16});
    inputs.query.mul_(size);
    SCOPED_TRACE(size);
    expect_as_good_as_torch(inputs);
  }
}

}  // namespace
}  // namespace skipattn::attention::test
