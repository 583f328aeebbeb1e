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

std::vector<ModelConfig> every_small_model() {
  std::vector<ModelConfig> configs;
  for (const std::string& routing : testing::routings_of_every_kind()) configs.push_back(small_config(routing));
  for (const char* routing : {"baseline", "sla(distance=2, heads=3)", "cla(group=2)"})
    configs.push_back(testing::small_llama(routing));
  return configs;
}

std::string name_of(const Decoder& decoder, size_t parameter) {
  return decoder.config().routing + " " + decoder.table().specs[parameter].name;
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
  for (const at::Tensor& parameter : decoder.parameters())
    gradients.push_back(parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
  return gradients;
}

TEST(Decoder, RecomputationChangesNeitherLogitsNorGradients) {
  const at::Tensor tokens = random_tokens(2, 19, 61);
  for (const ModelConfig& config : every_small_model()) {
    Decoder decoder = small_decoder(config);
    const ForwardOptions kept{.dropout = 0.1, .dropout_seed = 5};
    const ForwardOptions recomputed{.dropout = 0.1, .dropout_seed = 5, .recompute = true};
    const auto expected = gradients_of(decoder, tokens, kept), found = gradients_of(decoder, tokens, recomputed);
    EXPECT_LT(largest_difference(logits_of(decoder, tokens, kept), logits_of(decoder, tokens, recomputed)), 1e-12);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_LT(largest_difference(expected[i], found[i]), 1e-12) << name_of(decoder, i);
  }
}

TEST(Decoder, GradientsAreCentralDifferences) {
  const at::Tensor tokens = random_tokens(1, 9, 61);
  for (const ModelConfig& config : every_small_model()) {
    Decoder decoder = small_decoder(config);
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
      EXPECT_NEAR(exact, numeric, 3e-6 * std::max(1.0, std::abs(numeric))) << name_of(decoder, i);
    }
  }
}

/// The same routing written twice: dead heads left out, and dead heads present, borrowed from by nobody. The second
/// form is the baseline model whose forward pass reads K and V through a hook that puts the borrowed heads in place.
void expect_elided_equals_full(const Decoder& full, Decoder elided) {
  const int64_t distance = 2, heads = 3;  // layers 2 and 3: heads 1, 2, 3 read layer - 2
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

TEST(Decoder, ElidedAndFullModelsAgreeAndDeadHeadsMayHoldNaN) {
  const std::string routing = "sla(distance=2, heads=3)";
  expect_elided_equals_full(small_decoder(small_config("baseline")), Decoder(small_config(routing)));
  // A Llama's lent keys have their norm and are turned to their positions.
  expect_elided_equals_full(small_decoder(testing::small_llama("baseline")), Decoder(testing::small_llama(routing)));
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
  for (const ModelConfig& config : every_small_model()) {
    const Decoder decoder = small_decoder(config);
    const std::string& routing = config.routing;
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

/// What was projected so far, put together; keys come turned to their positions.
TEST(Decoder, ACacheOfTheHooksKeysAndValuesGivesTheFullPass) {
  const int64_t split = 13, length = 30;
  for (const char* routing : {"baseline", "sla(distance=2, heads=3)", "cla(group=2)"}) {
    ModelConfig config = testing::small_llama(routing);
    config.window = 9;
    config.windowed_layers = {1, 2};
    const Decoder decoder = small_decoder(config);
    const at::Tensor tokens = random_tokens(2, length, 61);
    std::vector<KeyValues> cache(4);
    ForwardOptions options;
    options.key_value_hook = [&](int64_t layer, const KeyValues& projected) {
      const auto append = [](at::Tensor& held, const at::Tensor& more) {
        if (more.defined()) held = held.defined() ? at::cat({held, more}, 2) : more;
        return held;
      };
      return KeyValues{append(cache[layer].keys, projected.keys), append(cache[layer].values, projected.values)};
    };
    const at::Tensor begun = decoder.hidden_states({.tokens = tokens.narrow(1, 0, split)}, options);
    const at::Tensor rest =
        decoder.hidden_states({.tokens = tokens.narrow(1, split, length - split), .past = split}, options);
    EXPECT_LT(largest_difference(at::cat({begun, rest}, 1), decoder.hidden_states({.tokens = tokens})), 1e-12);
  }
}

TEST(Decoder, OnlyWindowedLayersHaveTheWindow) {
  ModelConfig config = testing::small_llama("baseline");
  config.window = 3;
  config.windowed_layers = {0, 1, 2};
  at::Tensor tokens = random_tokens(1, 30, 61), changed = tokens.clone();
  changed[0][5] = (changed[0][5] + 1) % 61;
  const auto reach = [&](const ModelConfig& one) {
    const Decoder decoder = small_decoder(one);
    const at::Tensor differs = (logits_of(decoder, tokens) - logits_of(decoder, changed)).abs().amax({0, 2}) > 0;
    return differs.nonzero().max().item<int64_t>();
  };
  EXPECT_EQ(reach(config), 29);  // through layer 3
  config.windowed_layers = {};
  EXPECT_EQ(reach(config), 13);
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

  ModelConfig llama = testing::small_llama("baseline");
  llama.kv_heads = 3;
  llama.head_width = 7;
  llama.rotary.scaling = "yarn";
  llama.windowed_layers = {2, 1};
  try {
    Decoder decoder(llama);
    FAIL();
  } catch (const InputError& error) {
    for (const char* fault : {"kv_heads=3: must divide heads=8", "head_width=7: must be even",
                              "rotary_scaling='yarn': must be none, linear or llama3", "windowed_layers: needs window",
                              "windowed_layers: 1 must be a layer 0..3, each once, ascending"})
      EXPECT_NE(std::string(error.what()).find(fault), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace skipattn::model
