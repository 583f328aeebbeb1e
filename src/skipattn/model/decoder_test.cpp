#include "skipattn/model/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <limits>

#include "skipattn/core/errors.h"
#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

using testing::largest_difference;
using testing::random_tokens;
using testing::small_config;
using testing::small_decoder;

/// GPT-2 as its paper describes it, with no notion of routing: fused QKV, one softmax over a full score matrix.
at::Tensor plain_gpt_logits(const Decoder& decoder, const at::Tensor& tokens) {
  const ModelConfig& config = decoder.config();
  const auto& p = decoder.parameters();
  const ParameterTable& table = decoder.table();
  const int64_t batch = tokens.size(0), length = tokens.size(1), d = config.head_width;
  at::Tensor x = at::embedding(p[table.token_embedding], tokens) + p[table.position_embedding].slice(0, 0, length);
  const at::Tensor hidden_future = at::ones({length, length}, at::kBool).triu(1);
  for (const LayerIndex& layer : table.layers) {
    const at::Tensor h =
        at::layer_norm(x, {config.width}, p[layer.norm1_weight], p[layer.norm1_bias], config.norm_epsilon);
    const auto parts = at::linear(h, p[layer.qkv_weight], p[layer.qkv_bias]).chunk(3, -1);
    const auto heads = [&](const at::Tensor& t) { return t.view({batch, length, config.heads, d}).transpose(1, 2); };
    const at::Tensor scores =
        at::matmul(heads(parts[0]), heads(parts[1]).transpose(2, 3)) / std::sqrt(static_cast<double>(d));
    const at::Tensor weights = scores.masked_fill(hidden_future, -std::numeric_limits<double>::infinity()).softmax(-1);
    const at::Tensor mixed =
        at::matmul(weights, heads(parts[2])).transpose(1, 2).reshape({batch, length, config.width});
    x = x + at::linear(mixed, p[layer.output_weight], p[layer.output_bias]);
    const at::Tensor h2 =
        at::layer_norm(x, {config.width}, p[layer.norm2_weight], p[layer.norm2_bias], config.norm_epsilon);
    const at::Tensor up = at::gelu(at::linear(h2, p[layer.up_weight], p[layer.up_bias]), "tanh");
    x = x + at::linear(up, p[layer.down_weight], p[layer.down_bias]);
  }
  x = at::layer_norm(x, {config.width}, p[table.norm_weight], p[table.norm_bias], config.norm_epsilon);
  return at::linear(x, p[table.token_embedding]);
}

at::Tensor logits_of(const Decoder& decoder, const at::Tensor& tokens, const ForwardOptions& options = {}) {
  return decoder.logits(decoder.hidden_states({.tokens = tokens}, options));
}

/// Sum of squares of the logits, differentiated; gradients in the table's order.
std::vector<at::Tensor> gradients_of(Decoder& decoder, const at::Tensor& tokens, const ForwardOptions& options) {
  for (const at::Tensor& parameter : decoder.parameters()) {
    parameter.mutable_grad().reset();
    parameter.set_requires_grad(true);
  }
  logits_of(decoder, tokens, options).square().mean().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : decoder.parameters()) gradients.push_back(parameter.grad().clone());
  return gradients;
}

TEST(Decoder, TheIdentityRoutingIsAPlainGpt) {
  const Decoder decoder = small_decoder(small_config("baseline"));
  const at::Tensor tokens = random_tokens(2, 33, 61);
  EXPECT_LT(largest_difference(logits_of(decoder, tokens), plain_gpt_logits(decoder, tokens)), 1e-10);
}

TEST(Decoder, RecomputationChangesNeitherLogitsNorGradients) {
  const at::Tensor tokens = random_tokens(2, 19, 61);
  for (const std::string& routing : testing::routings_of_every_kind()) {
    Decoder decoder = small_decoder(small_config(routing));
    const ForwardOptions kept{.dropout = 0.1, .dropout_seed = 5};
    const ForwardOptions recomputed{.dropout = 0.1, .dropout_seed = 5, .recompute = true};
    const auto expected = gradients_of(decoder, tokens, kept), found = gradients_of(decoder, tokens, recomputed);
    EXPECT_LT(largest_difference(logits_of(decoder, tokens, kept), logits_of(decoder, tokens, recomputed)), 1e-12);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_LT(largest_difference(expected[i], found[i]), 1e-12) << routing << " " << decoder.table().specs[i].name;
  }
}

TEST(Decoder, GradientsAreCentralDifferences) {
  const at::Tensor tokens = random_tokens(1, 9, 61);
  for (const std::string& routing : testing::routings_of_every_kind()) {
    Decoder decoder = small_decoder(small_config(routing));
    const auto gradients = gradients_of(decoder, tokens, {});
    const c10::NoGradGuard no_grad;
    const double step = 1e-5;
    for (size_t i = 0; i < gradients.size(); ++i) {
      // Along one random direction per parameter, which touches every element at once.
      const at::Tensor direction = at::randn_like(gradients[i]);
      const at::Tensor value = decoder.parameters()[i].detach().clone();
      const auto loss_at = [&](double shift) {
        decoder.set_parameter(static_cast<int>(i), value + shift * direction);
        return logits_of(decoder, tokens).square().mean().item<double>();
      };
      const double numeric = (loss_at(step) - loss_at(-step)) / (2 * step);
      decoder.set_parameter(static_cast<int>(i), value);
      const double exact = (gradients[i] * direction).sum().item<double>();
      EXPECT_NEAR(exact, numeric, 1e-6 * std::max(1.0, std::abs(numeric)))
          << routing << " " << decoder.table().specs[i].name;
    }
  }
}

/// The same routing written twice: dead heads left out, and dead heads present, borrowed from by nobody. The second
/// form is the baseline model whose forward pass reads K and V through a hook that puts the borrowed heads in place.
TEST(Decoder, ElidedAndFullModelsAgreeAndDeadHeadsMayHoldNaN) {
  const int64_t distance = 2, heads = 3;  // layers 2 and 3: heads 1, 2, 3 read layer - 2
  const Decoder full = small_decoder(small_config("baseline"));
  Decoder elided(small_config("sla(distance=2, heads=3)"));
  const auto& specs = elided.table().specs;
  for (size_t i = 0; i < specs.size(); ++i)
    elided.set_parameter(static_cast<int>(i), take_live_rows(full.parameters()[i], specs[i]).clone());
  EXPECT_LT(elided.table().elements(), full.table().elements());

  const at::Tensor tokens = random_tokens(2, 21, 61);
  std::vector<KeyValues> own(4);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  ForwardOptions options;
  options.key_value_hook = [&](int64_t layer, const KeyValues& projected) {
    own[layer] = {projected.keys.clone(), projected.values.clone()};
    KeyValues seen = own[layer];
    if (layer >= distance) {
      seen = {projected.keys.clone(), projected.values.clone()};
      seen.keys.narrow(1, 4 - heads, heads).fill_(nan);  // what the layer itself projected for skip heads is never read
      seen.values.narrow(1, 4 - heads, heads).fill_(nan);
      seen.keys.narrow(1, 4 - heads, heads).copy_(own[layer - distance].keys.narrow(1, 4 - heads, heads));
      seen.values.narrow(1, 4 - heads, heads).copy_(own[layer - distance].values.narrow(1, 4 - heads, heads));
    }
    return seen;
  };
  EXPECT_LT(largest_difference(logits_of(full, tokens, options), logits_of(elided, tokens)), 1e-10);
}

TEST(Decoder, RoutingsOfOneSeedShareEveryWeightTheyBothHave) {
  Decoder baseline(small_config("baseline")), routed(small_config("sla(distance=2, heads=3)"));
  baseline.initialize(7);
  routed.initialize(7);
  const auto& specs = routed.table().specs;
  int complete = 0;
  for (size_t i = 0; i < specs.size(); ++i) {
    EXPECT_TRUE(at::equal(routed.parameters()[i], take_live_rows(baseline.parameters()[i], specs[i]))) << specs[i].name;
    complete += specs[i].is_complete();
  }
  EXPECT_EQ(complete, static_cast<int>(specs.size()) - 4);  // c_attn weight and bias of two layers
  Decoder other(small_config("baseline"));
  other.initialize(8);
  EXPECT_FALSE(at::equal(other.parameters()[0], baseline.parameters()[0]));
}

TEST(Decoder, ADocumentDoesNotSeeTheOneBefore) {
  for (const std::string& routing : testing::routings_of_every_kind()) {
    const Decoder decoder = small_decoder(small_config(routing));
    const int64_t start = 13, length = 30;
    at::Tensor tokens = random_tokens(1, length, 61), changed = tokens.clone();
    changed.narrow(1, 0, start).add_(1).remainder_(61);
    at::Tensor first_key = at::zeros({1, length}, at::kInt);
    first_key.narrow(1, start, length - start).fill_(start);
    const auto second = [&](const at::Tensor& input, bool masked) {
      Input in{.tokens = input};
      if (masked) in.first_key = first_key;
      return decoder.logits(decoder.hidden_states(in)).narrow(1, start, length - start);
    };
    EXPECT_LT(largest_difference(second(tokens, true), second(changed, true)), 1e-12) << routing;
    EXPECT_GT(largest_difference(second(tokens, false), second(changed, false)), 1e-6) << routing;
  }
}

TEST(Decoder, AWindowLimitsHowFarBackAllLayersSee) {
  ModelConfig config = small_config("baseline");
  config.window = 3;
  const Decoder decoder = small_decoder(config);
  at::Tensor tokens = random_tokens(1, 30, 61), changed = tokens.clone();
  changed[0][5] = (changed[0][5] + 1) % 61;
  const at::Tensor difference = (logits_of(decoder, tokens) - logits_of(decoder, changed)).abs().amax({0, 2});
  // Four layers with a window of 3 reach 4 * 2 = 8 tokens ahead of a change.
  EXPECT_GT(difference[13].item<double>(), 0);
  EXPECT_EQ(difference.slice(0, 14).max().item<double>(), 0);
}

TEST(Decoder, WrongSizesAreNamedAllAtOnce) {
  ModelConfig config = small_config("baseline");
  config.heads = 0;
  config.activation = "relu";
  try {
    Decoder decoder(config);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("heads=0"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("activation='relu'"), std::string::npos);
  }
  EXPECT_THROW(logits_of(small_decoder(small_config("baseline")), random_tokens(1, 41, 61)), InputError);
}

}  // namespace
}  // namespace skipattn::model
