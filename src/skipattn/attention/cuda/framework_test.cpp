// The framework's implementations, as we call them: on the CPU beside plain operations (framework_ops_test.cpp), on a CUDA
// device the real ones. The rule of the house: errors to fp64 at most twice (gradients: three times) those of the definition
// in the same dtype.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>

#include "skipattn/attention/cuda/stand_in_test.h"

namespace skipattn::attention::cuda::test {
namespace {

using attention::test::Case;
using attention::test::expect_accurate_by;
using attention::test::First;
using attention::test::Inputs;
using attention::test::make_inputs;
using attention::test::Outcome;
using attention::test::Routes;

constexpr std::array<std::pair<int64_t, int64_t>, 3> kHeads = {{{4, 4}, {6, 3}, {4, 1}}};
constexpr std::array kEarlier = {0, 0, 17, 0, -9, 0, 5};
constexpr std::array kFirsts = {First::kNone, First::kDocuments, First::kWindow, First::kPadding, First::kAnyOrder};

/// Says whether an implementation served a case at all, or the definition in its place.
class Counted final : public FusedAttention {
 public:
  explicit Counted(const FusedAttention& inner) : inner_(inner) {}
  const char* name() const override { return inner_.name(); }
  bool supports(const FusedCall& call) const override { return inner_.supports(call); }
  Result forward(const FusedCall& call) const override {
    ++served;
    return inner_.forward(call);
  }
  FusedGradients backward(const FusedCall& call, const BackwardInput& input) const override {
    return inner_.backward(call, input);
  }
  mutable int served = 0;

 private:
  const FusedAttention& inner_;
};

Inputs on(at::Device device, const Inputs& inputs) {
  const auto moved = [&](const at::Tensor& tensor) {
    if (tensor.device() == device) return tensor;
    const at::Tensor copy = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(device));
    return copy.copy_(tensor);
  };
  Inputs result{moved(inputs.query), {}, inputs.pairs, inputs.options, moved(inputs.grad_output)};
  for (const at::Tensor& source : inputs.sources) result.sources.push_back(moved(source));
  if (inputs.options.first_key) result.options.first_key = moved(*inputs.options.first_key);
  return result;
}

/// `capacity`: with room for so many documents; 0: as they are.
Outcome run_on(at::Device device, const Inputs& inputs, const FusedAttention& implementation, int64_t capacity = 0) {
  const Inputs there = on(device, inputs);
  std::optional<KeyPattern> roomy;
  if (capacity > 0) {
    const at::Tensor& first_key = *there.options.first_key;
    const KeyPattern found = find_key_pattern(first_key, there.query.size(2), true);
    const at::Tensor starts = at::full({capacity + 1}, first_key.numel(), found.starts.options());
    starts.narrow(0, 0, found.starts.numel()).copy_(found.starts);
    roomy = known_key_pattern(there.query.size(2), found.window, first_key, {starts, 2 * found.longest});
  }
  Outcome outcome = run_routed(there, {&implementation}, roomy ? &*roomy : nullptr);
  for (at::Tensor* tensor : {&outcome.result.output, &outcome.result.logsumexp, &outcome.grad_query})
    *tensor = tensor->cpu();
  for (at::Tensor& tensor : outcome.grad_sources) tensor = tensor.cpu();
  return outcome;
}

/// How often the implementation served.
int expect_accurate(const FusedAttention& implementation, at::Device device, const Case& c) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
  const Counted counted(implementation);
  expect_accurate_by([&](const Inputs& inputs) { return run_on(device, inputs, counted); }, make_inputs(c));
  return counted.served;
}

struct Setting {
  const FusedAttention& (*implementation)();
  at::ScalarType dtype;
};
const std::array<Setting, 4> kSettings = {{{flash_attention, at::kBFloat16},
                                           {cudnn_attention, at::kBFloat16},
                                           {efficient_attention, at::kBFloat16},
                                           {efficient_attention, at::kFloat}}};

class Framework : public ::testing::TestWithParam<Setting> {
 protected:
  int serve(at::Device device, Case c) const {
    c.dtype = GetParam().dtype;
    return expect_accurate(GetParam().implementation(), device, c);
  }
  const attention::test::OneThread one_thread_;
};
INSTANTIATE_TEST_SUITE_P(Implementations, Framework, ::testing::ValuesIn(kSettings), [](const auto& param_info) {
  return std::string(param_info.param.implementation().name()) + "_" + toString(param_info.param.dtype);
});

/// Every routing and mask, grouped queries, more and fewer keys than queries.
int serve_all(const std::function<int(const Case&)>& serve, int64_t queries, int64_t width) {
  int served = 0;
  size_t turn = 0;
  for (const Routes routes : kRoutes) {
    for (const First first : kFirsts) {
      const auto [heads, kv_heads] = kHeads[turn % kHeads.size()];
      served += serve({.heads = heads,
                       .kv_heads = kv_heads,
                       .queries = queries,
                       .earlier_keys = kEarlier[turn % kEarlier.size()],
                       .head_width = width,
                       .causal = turn % 4 != 3,
                       .first = first,
                       .routes = routes});
      ++turn;
    }
  }
  return served;
}

TEST_P(Framework, ServesEveryRoutingAndMask) {
  EXPECT_GT(serve_all([&](const Case& c) { return serve(at::kCPU, c); }, 37, 16), 5);
}

TEST_P(Framework, PlainLayersOfAnyStrides) {
  for (const bool strided : {true, false})
    for (const auto& [heads, kv_heads] : {std::pair{4, 4}, {4, 2}, {4, 1}})
      EXPECT_EQ(serve(at::kCPU, {.heads = heads, .kv_heads = kv_heads, .queries = 33, .strided = strided}), 1);
}

std::vector<at::Device> devices() {
  return at::hasCUDA() ? std::vector<at::Device>{at::kCPU, at::kCUDA} : std::vector<at::Device>{at::kCPU};
}

TEST_P(Framework, HeadsAtEveryStep) {
  for (const at::Device device : devices()) {
    Inputs inputs =
        make_inputs({.heads = 8, .kv_heads = 4, .queries = 33, .head_width = 16, .dtype = GetParam().dtype});
    const Counted counted(GetParam().implementation());
    const auto way = [&](const Inputs& given) { return run_on(device, given, counted); };
    for (int64_t h = 0; h < 4; ++h) inputs.pairs[h] = {{4, 2, 5, h}};  // keys of one head, values of many
    expect_accurate_by(way, inputs);
    EXPECT_EQ(counted.served, counted.name() == std::string("cudnn") ? 0 : 1);
    for (int64_t h = 0; h < 4; ++h) inputs.pairs[h] = {{4 * (h % 2), h, 4 * (h % 2) + 1, h}};  // every other head
    counted.served = 0;
    expect_accurate_by(way, inputs);
    EXPECT_EQ(counted.served, 2);
  }
}

/// Documents of 1 to 30 tokens in which a query sees at most the last 8 keys, other ones in each batch element.
Inputs inputs_of_documents_with_a_window(at::ScalarType dtype) {
  Inputs inputs = make_inputs({.heads = 4, .kv_heads = 2, .queries = 50, .head_width = 16, .dtype = dtype});
  const at::Tensor first_key = at::zeros({2, 50}, at::kInt);
  for (int64_t b = 0; b < 2; ++b)
    for (int i = 0, start = 0; i < 50; ++i) {
      if (i == 3 + b || i == 4 + b || i == 20) start = i;
      first_key[b][i] = std::max(start, i - 7);
    }
  inputs.options.first_key = first_key;
  return inputs;
}

TEST_P(Framework, DocumentsWithAWindow) {
  for (const at::Device device : devices()) {
    const Counted counted(GetParam().implementation());
    expect_accurate_by([&](const Inputs& inputs) { return run_on(device, inputs, counted); },
                       inputs_of_documents_with_a_window(GetParam().dtype));
    EXPECT_EQ(counted.served, counted.name() == std::string("cudnn") ? 0 : 1);
    expect_accurate_by([&](const Inputs& inputs) { return run_on(device, inputs, counted, /*capacity=*/17); },
                       inputs_of_documents_with_a_window(GetParam().dtype));
  }
}

TEST_P(Framework, LeavesToTheDefinitionWhatItCannotDo) {
  EXPECT_EQ(serve(at::kCPU, {.queries = 9, .head_width = 5}), 0);  // rows that are not aligned
  const std::string name = GetParam().implementation().name();
  EXPECT_EQ(serve(at::kCPU, {.queries = 9, .first = First::kPadding}) > 0, name == "efficient");
  EXPECT_EQ(serve(at::kCPU, {.batch = 1, .queries = 9, .first = First::kWindow}) > 0, name != "cudnn");
  EXPECT_EQ(serve(at::kCPU, {.queries = 9, .earlier_keys = 4}) > 0, name != "cudnn");
}

TEST_P(Framework, OnACudaDevice) {
  if (!at::hasCUDA()) GTEST_SKIP() << "torch sees no CUDA device";
  for (const auto& [queries, width] :
       {std::pair<int64_t, int64_t>{70, 32}, {70, 64}, {70, 80}, {70, 128}, {70, 256}, {200, 64}, {200, 128}})
    serve_all([&](const Case& c) { return serve(at::kCUDA, c); }, queries, width);
  for (const bool strided : {true, false})
    for (const auto& [heads, kv_heads] : {std::pair{12, 12}, {12, 4}})
      EXPECT_EQ(serve(at::kCUDA,
                      {.heads = heads, .kv_heads = kv_heads, .queries = 1024, .head_width = 64, .strided = strided}),
                1);
}

TEST(CudaOperator, IsAccurateWithWhatItChooses) {
  if (!at::hasCUDA()) GTEST_SKIP() << "torch sees no CUDA device";
  for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat, at::kDouble}) {
    for (const Routes routes : kRoutes) {
      for (const First first : kFirsts) {
        const Case c{.heads = 6,
                     .kv_heads = 3,
                     .queries = 600,
                     .head_width = 64,
                     .dtype = dtype,
                     .first = first,
                     .routes = routes};
        const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
        expect_accurate_by(
            [&](const Inputs& inputs) {
              Outcome outcome = run(routed_attention, on(at::kCUDA, inputs).to(dtype, true));
              for (at::Tensor* tensor : {&outcome.result.output, &outcome.result.logsumexp, &outcome.grad_query})
                *tensor = tensor->detach().cpu();
              for (at::Tensor& tensor : outcome.grad_sources) tensor = tensor.cpu();
              return outcome;
            },
            make_inputs(c));
      }
    }
  }
}

}  // namespace
}  // namespace skipattn::attention::cuda::test
