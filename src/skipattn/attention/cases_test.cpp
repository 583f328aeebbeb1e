#include "skipattn/attention/cases_test.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "skipattn/attention/cpu/level.h"
#include "skipattn/core/random.h"

namespace skipattn::attention::test {
namespace {

constexpr int kLayers = 3;

at::Tensor random_tensor(at::IntArrayRef sizes, Random& random) {
  at::Tensor tensor = at::empty(sizes, at::kDouble);
  double* data = tensor.data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) data[i] = random.normal();
  return tensor;
}

/// [B, heads, length, d], dense or a slice out of a wider projection [B, length, (heads + 3) * d].
at::Tensor random_heads(const Case& c, int64_t heads, int64_t length, Random& random) {
  const int64_t margin = c.strided ? 3 : 0;
  const at::Tensor wide = random_tensor({c.batch, length, heads + margin, c.head_width}, random).to(c.dtype);
  const at::Tensor slice = wide.transpose(1, 2).narrow(1, margin / 2, heads);
  return c.strided ? slice : slice.contiguous();
}

/// The same numbers and strides in another dtype.
at::Tensor as_dtype(const at::Tensor& tensor, at::ScalarType dtype, bool leaf) {
  at::Tensor copy = at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().dtype(dtype));
  copy.copy_(tensor.detach());
  return copy.requires_grad_(leaf);
}

void add_first_keys(const Case& c, int64_t batch, int32_t* row) {
  const int64_t window = c.queries / 3 + 1 + batch;
  Random random(static_cast<uint64_t>(batch) + 7);
  for (int64_t i = 0; i < c.queries; ++i) {
    const int64_t position = c.earlier_keys + i;
    if (c.first == First::kWindow) row[i] = static_cast<int32_t>(position - window + 1);  // negative at the start
    if (c.first == First::kAnyOrder)
      row[i] = static_cast<int32_t>(random.below(static_cast<uint64_t>(c.keys()) + 20)) - 10;
    if (c.first == First::kPadding) row[i] = static_cast<int32_t>(c.keys() / 3 + 2 * batch);
    if (c.first == First::kDocuments) {
      // A long document, then short ones of 7 tokens.
      const int64_t long_end = c.keys() / 2 + batch;
      row[i] = static_cast<int32_t>(position < long_end ? 0 : position - (position - long_end) % 7);
    }
  }
}

double largest_finite(const at::Tensor& tensor) {
  return tensor.numel() == 0 ? 0 : tensor.nan_to_num(0, 0, 0).abs().max().item<double>();
}

/// What even a good result may be off by. `known_to`: the relative error that the logsumexp leaves in every weight.
double tolerance(const at::Tensor& truth, at::ScalarType dtype, double known_to) {
  const double rounding = dtype == at::kDouble ? 1e-14 : std::ldexp(1, dtype == at::kFloat ? -22 : -8);
  // Where exact gradients cancel (a query with one key), what is left is fp32 rounding of terms of
  // size 1 to 10.
  return (rounding + known_to) * largest_finite(truth) + (dtype == at::kDouble ? 1e-13 : 4e-6);
}

/// What results are held against: the truth, and how far each tensor may be from it.
struct Yardstick {
  Outcome truth;
  Outcome allowed;  ///< scalars in place of tensors

  explicit Yardstick(const Inputs& inputs) {
    const at::ScalarType dtype = inputs.query.scalar_type();
    truth = run(routed_attention_reference, inputs.to(at::kDouble, true));
    const Outcome naive = run(routed_attention_reference, inputs.to(dtype, true));
    const at::Tensor& sums = truth.result.logsumexp;
    const double known_to = dtype == at::kDouble ? 0 : std::ldexp(largest_finite(sums), -22);  // it is saved in fp32
    const auto allow = [&](const at::Tensor& near, const at::Tensor& exact, double factor) {
      const double slack = factor == 3 ? known_to : 0;
      return at::scalar_tensor(factor * max_difference(near, exact) + tolerance(exact, near.scalar_type(), slack),
                               at::kDouble);
    };
    allowed.result.output = allow(naive.result.output, truth.result.output, 2);
    allowed.result.logsumexp = allow(naive.result.logsumexp, sums, 2);
    // Beside bf16 weights the kernels' 2^x is right to 7.5e-5, and where all scores are equal nothing averages that.
    if (dtype == at::kBFloat16) allowed.result.logsumexp += 1e-4;
    allowed.grad_query = allow(naive.grad_query, truth.grad_query, 3);
    for (size_t i = 0; i < inputs.sources.size(); ++i)
      allowed.grad_sources.push_back(allow(naive.grad_sources[i], truth.grad_sources[i], 3));
  }

  void judge(const Outcome& ours) const {
    const auto expect_near = [](const std::string& what, const at::Tensor& a, const at::Tensor& b,
                                const at::Tensor& by) {
      ASSERT_EQ(a.sizes(), b.sizes()) << what;
      EXPECT_LE(max_difference(a, b), by.item<double>()) << what;
    };
    expect_near("output", ours.result.output, truth.result.output, allowed.result.output);
    expect_near("logsumexp", ours.result.logsumexp, truth.result.logsumexp, allowed.result.logsumexp);
    expect_near("grad_query", ours.grad_query, truth.grad_query, allowed.grad_query);
    for (size_t i = 0; i < truth.grad_sources.size(); ++i)
      expect_near("grad_sources[" + std::to_string(i) + "]", ours.grad_sources[i], truth.grad_sources[i],
                  allowed.grad_sources[i]);
  }
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << "B=" << c.batch << " H=" << c.heads << "/" << c.kv_heads << " T=" << c.queries << " S=" << c.keys()
             << " d=" << c.head_width << " " << c.dtype << (c.causal ? " causal" : " full")
             << " first=" << static_cast<int>(c.first) << " routes=" << static_cast<int>(c.routes)
             << (c.strided ? " strided" : " dense") << " dropout=" << c.dropout_p;
}

Inputs Inputs::to(at::ScalarType dtype, bool leaves) const {
  Inputs copy{as_dtype(query, dtype, leaves), {}, pairs, options, grad_output.to(dtype)};
  for (const at::Tensor& source : sources) copy.sources.push_back(as_dtype(source, dtype, leaves));
  return copy;
}

HeadPairs make_pairs(Routes routes, int64_t kv_heads) {
  HeadPairs pairs(kv_heads);
  for (int64_t h = 0; h < kv_heads; ++h) {
    const Pair own{4, h, 5, h}, skip{0, h, 1, h}, middle{2, h, 3, h};
    switch (routes) {
      case Routes::kOwn:
        pairs[h] = {own};
        break;
      case Routes::kSkip:
        pairs[h] = {h >= kv_heads / 2 ? skip : own};
        break;
      case Routes::kJointTwo:
        pairs[h] = {own, skip};
        break;
      case Routes::kJointRepeat:
        pairs[h] = {own, middle, own};
        break;
      case Routes::kSomeEmpty:
        pairs[h] = {own};
        break;
      case Routes::kShared:
        pairs[h] = {{0, 0, 1, 0}};
        if (h % 2 == 1) pairs[h].push_back(own);
        break;
      case Routes::kTwoSides:
        pairs[h] = {{4, h, 4, h}, {4, h, 5, h}, {5, kv_heads - 1 - h, 4, h}};
        break;
    }
  }
  if (routes == Routes::kSkip) pairs.back() = {{0, 0, 1, 0}};
  if (routes == Routes::kJointRepeat && kv_heads > 1) pairs[1].resize(1);
  if (routes == Routes::kSomeEmpty) {
    pairs.front() = {{2, 0, 5, 0}};
    pairs.back().clear();
  }
  return pairs;
}

std::optional<at::Tensor> make_first_key(const Case& c) {
  if (c.first == First::kNone) return std::nullopt;
  at::Tensor first_key = at::empty({c.batch, c.queries}, at::kInt);
  for (int64_t b = 0; b < c.batch; ++b) add_first_keys(c, b, first_key.data_ptr<int32_t>() + b * c.queries);
  return first_key;
}

Inputs make_inputs(const Case& c, uint64_t seed) {
  Random random(seed);
  Inputs inputs;
  inputs.query = random_heads(c, c.heads, c.queries, random);
  for (int i = 0; i < 2 * kLayers; ++i) inputs.sources.push_back(random_heads(c, c.kv_heads, c.keys(), random));
  inputs.pairs = make_pairs(c.routes, c.kv_heads);
  inputs.options = {c.causal, std::nullopt, make_first_key(c), c.dropout_p, static_cast<int64_t>(seed) << 33 | 5};
  inputs.grad_output = random_heads(c, c.heads, c.queries, random);
  return inputs;
}

Outcome run(Attention attention, const Inputs& inputs) {
  Outcome outcome;
  outcome.result = attention(inputs.query, inputs.sources, inputs.pairs, inputs.options);
  std::vector<at::Tensor> leaves = {inputs.query};
  leaves.insert(leaves.end(), inputs.sources.begin(), inputs.sources.end());
  if (!outcome.result.output.requires_grad()) outcome.result.output.requires_grad_();  // no head reads anything
  auto grads = torch::autograd::grad({outcome.result.output}, leaves, {inputs.grad_output}, std::nullopt, false,
                                     /*allow_unused=*/true);
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined()) grads[i] = at::zeros_like(leaves[i]);
  }
  outcome.grad_query = grads[0];
  outcome.grad_sources.assign(grads.begin() + 1, grads.end());
  return outcome;
}

void expect_accurate(const Case& c) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
  const Inputs inputs = make_inputs(c);
  Yardstick(inputs).judge(run(routed_attention, inputs.to(c.dtype, true)));
}

void expect_accurate_at(const std::vector<std::string>& levels, const Case& c) {
  const ::testing::ScopedTrace trace(__FILE__, __LINE__, ::testing::PrintToString(c));
  expect_accurate_at(levels, make_inputs(c));
}

void expect_accurate_at(const std::vector<std::string>& levels, const Inputs& inputs) {
  const Yardstick yardstick(inputs);
  for (const std::string& level : levels) {
    const ::testing::ScopedTrace trace(__FILE__, __LINE__, level);
    const ForcedLevel forced(level);
    yardstick.judge(run(routed_attention, inputs.to(inputs.query.scalar_type(), true)));
  }
}

void expect_accurate_by(const std::function<Outcome(const Inputs&)>& way, const Inputs& inputs) {
  Yardstick(inputs).judge(way(inputs.to(inputs.query.scalar_type(), false)));
}

ForcedLevel::ForcedLevel(const std::string& name) {
  if (const char* before = std::getenv("SKIPATTN_ATTENTION")) before_ = before;
  setenv("SKIPATTN_ATTENTION", name.c_str(), 1);
}
ForcedLevel::~ForcedLevel() {
  before_.empty() ? unsetenv("SKIPATTN_ATTENTION") : setenv("SKIPATTN_ATTENTION", before_.c_str(), 1);
}

std::vector<std::string> levels_for(at::ScalarType dtype, bool with_torch) {
  std::vector<std::string> names;
  if (with_torch) names.emplace_back("torch");
  for (const auto level : {cpu::Level::kAvx2, cpu::Level::kAvx512, cpu::Level::kAvx512Bf16}) {
    const bool repeats = level == cpu::Level::kAvx512Bf16 && dtype != at::kBFloat16;  // the kernels of avx512
    if (cpu::is_available(level) && !repeats) names.emplace_back(cpu::level_name(level));
  }
  return names;
}

OneThread::OneThread() : threads_(at::get_num_threads()) {
  at::set_num_threads(1);
}
OneThread::~OneThread() {
  at::set_num_threads(threads_);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0;
  const at::Tensor x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  const at::Tensor difference = (x - y).abs().masked_fill(x == y, 0.0);
  return difference.nan_to_num(std::numeric_limits<double>::infinity()).max().item<double>();
}

TEST(Cases, AreWhatTheyClaim) {
  Case padded{.queries = 30, .first = First::kPadding};
  const at::Tensor first = *make_first_key(padded);
  EXPECT_EQ(first[0][0].item<int>(), 10);  // queries 0..9 see nothing
  Case documents{.queries = 200, .first = First::kDocuments};
  EXPECT_EQ((*make_first_key(documents))[0][99].item<int>(), 0);
  EXPECT_EQ((*make_first_key(documents))[0][108].item<int>(), 107);
  EXPECT_EQ(max_difference(at::tensor({1.0, INFINITY}), at::tensor({1.5, INFINITY})), 0.5);
  EXPECT_EQ(max_difference(at::tensor({NAN}), at::tensor({1.0})), INFINITY);
  EXPECT_FALSE(make_inputs(documents).query.is_contiguous());
}

}  // namespace skipattn::attention::test
