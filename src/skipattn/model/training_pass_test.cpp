#include "skipattn/model/training_pass.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "skipattn/model/test_models.h"

namespace skipattn::model {
namespace {

using testing::random_tokens;
using testing::small_config;

/// One run to compare: what it computes and how.
struct PassRun {
  ModelConfig config;
  Input input;
  double dropout = 0;
  bool recompute = false;
};

struct Outcome {
  at::Tensor hidden;                  // [N, D]
  std::vector<at::Tensor> gradients;  // of sum(hidden * weights_of_hidden), in the table's order
};

Decoder decoder_in(const ModelConfig& config, at::ScalarType parameters, at::ScalarType dtype) {
  Decoder decoder = testing::small_decoder(config);
  decoder.convert_to(parameters);  // what the model of the compute dtype holds …
  decoder.convert_to(dtype);       // … exactly, in the type it is run in
  return decoder;
}

at::Tensor weights_of_hidden(const PassRun& run) {
  at::manual_seed(17);
  return at::randn({run.input.tokens.numel(), run.config.width}, at::kDouble).to(at::kBFloat16);
}

/// run_layer() and torch's autograd.
Outcome plain(const Decoder& decoder, const PassRun& run) {
  for (const at::Tensor& parameter : decoder.parameters()) {
    parameter.mutable_grad().reset();
    parameter.set_requires_grad(true);
  }
  const at::Tensor hidden =
      decoder.hidden_states(run.input, {.dropout = run.dropout, .dropout_seed = 9, .recompute = run.recompute});
  const at::Tensor rows = hidden.view({-1, run.config.width});
  (rows * weights_of_hidden(run).to(rows.scalar_type())).sum().backward();
  Outcome outcome{rows.detach(), {}};
  for (const at::Tensor& parameter : decoder.parameters())
    outcome.gradients.push_back(parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter));
  return outcome;
}

std::vector<at::Tensor> zero_gradients(const Decoder& decoder) {
  std::vector<at::Tensor> gradients;
  for (const auto& spec : decoder.table().specs) gradients.push_back(at::zeros(spec.shape(), at::kFloat));
  return gradients;
}

Outcome fused(const Decoder& decoder, const PassRun& run) {
  TrainingPass pass(decoder);
  pass.prepare({.batch = run.input.tokens.size(0), .length = run.input.tokens.size(1), .recompute = run.recompute});
  Outcome outcome;
  outcome.hidden = pass.forward(run.input, {.dropout = run.dropout, .dropout_seed = 9}).clone();
  at::Tensor(pass.hidden_gradient()).copy_(weights_of_hidden(run));
  outcome.gradients = zero_gradients(decoder);
  pass.backward({.tensors = outcome.gradients});
  return outcome;
}

double relative_error(const at::Tensor& found, const at::Tensor& exact) {
  const double size = exact.norm().item<double>();
  return (found.to(at::kDouble) - exact).norm().item<double>() / std::max(size, 1e-30);
}

/// Hidden states and all gradients of the fused pass are as close to fp64 as those of the plain one.
void expect_as_exact_as_plain(const PassRun& run, at::ScalarType dtype, const std::string& name) {
  const Outcome exact = plain(decoder_in(run.config, dtype, at::kDouble), run);
  const Decoder decoder = decoder_in(run.config, dtype, dtype);
  const Outcome naive = plain(decoder, run), ours = fused(decoder, run);
  const double floor = dtype == at::kFloat ? 2e-7 : 1e-3;
  EXPECT_LT(relative_error(ours.hidden, exact.hidden), 2 * relative_error(naive.hidden, exact.hidden) + floor) << name;
  const auto& specs = decoder.table().specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (exact.gradients[i].norm().item<double>() == 0) {
      EXPECT_EQ(ours.gradients[i].norm().item<double>(), 0) << name << " " << specs[i].name;
      continue;
    }
    EXPECT_LT(relative_error(ours.gradients[i], exact.gradients[i]),
              3 * relative_error(naive.gradients[i], exact.gradients[i]) + floor)
        << name << " " << specs[i].name;
  }
}

/// Biases of K change no softmax: their gradient is rounding alone, and so is that of a head's lone key.
ModelConfig config_of(const std::string& routing) {
  ModelConfig config = small_config(routing);
  config.bias = true;
  return config;
}

void expect_for_both_types(const PassRun& run, const std::string& name) {
  expect_as_exact_as_plain(run, at::kFloat, name + " fp32");
  expect_as_exact_as_plain(run, at::kBFloat16, name + " bf16");
}

TEST(TrainingPass, EveryRoutingWithAndWithoutRecomputation) {
  for (const std::string& routing : testing::routings_of_every_kind())
    for (const bool recompute : {false, true})
      expect_for_both_types(
          {.config = config_of(routing), .input = {.tokens = random_tokens(2, 19, 61)}, .recompute = recompute},
          routing + (recompute ? " recomputed" : ""));
}

TEST(TrainingPass, DropoutHasThePlainPathsMasks) {
  for (const char* routing : {"baseline", "sla(distance=2, heads=3)"})
    for (const bool recompute : {false, true})
      expect_for_both_types({.config = config_of(routing),
                             .input = {.tokens = random_tokens(2, 19, 61)},
                             .dropout = 0.2,
                             .recompute = recompute},
                            routing);
}

TEST(TrainingPass, DocumentsPositionsAndWindows) {
  ModelConfig config = config_of("sla(distance=2, heads=3)");
  config.window = 7;
  PassRun run{.config = config, .input = {.tokens = random_tokens(2, 24, 61)}};
  at::Tensor first_key = at::zeros({2, 24}, at::kInt);
  first_key[0].narrow(0, 11, 13).fill_(11);
  run.input.first_key = first_key;
  run.input.positions =
      at::cat({at::arange(11, at::kLong), at::arange(13, at::kLong), at::arange(24, at::kLong)}).view({2, 24});
  expect_for_both_types(run, "documents");
}

TEST(TrainingPass, WindowsForgetTheDocumentsOfThePassBefore) {
  ModelConfig config = config_of("sla(distance=2, heads=3)");
  config.window = 7;
  const Decoder decoder = decoder_in(config, at::kFloat, at::kFloat);
  const at::Tensor tokens = random_tokens(2, 24, 61);
  Input documents{.tokens = tokens};
  documents.first_key = at::full({2, 24}, 20, at::kInt);
  documents.first_key->narrow(1, 0, 20).zero_();
  const at::Tensor without = fused(decoder, {.config = config, .input = {.tokens = tokens}}).hidden;
  const at::Tensor with = fused(decoder, {.config = config, .input = documents}).hidden;
  EXPECT_FALSE(at::equal(with, without));
  TrainingPass pass(decoder);
  pass.prepare({.batch = 2, .length = 24});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(at::equal(pass.forward({.tokens = tokens}, {}), without));
    EXPECT_TRUE(at::equal(pass.forward(documents, {}), with));
  }
}

TEST(TrainingPass, KindsOfModels) {
  ModelConfig untied = config_of("baseline"), without_bias = untied, exact = untied, grouped = untied, odd = untied;
  untied.tied_head = false;
  without_bias.bias = false;
  exact.activation = "gelu";
  grouped.kv_heads = 2;
  odd.heads = odd.kv_heads = 3;
  odd.width = 51;  // head width 17: no vector fits
  odd.head_width = 17;
  odd.mlp_width = 77;
  for (const auto& [name, config] : std::map<std::string, ModelConfig>{
           {"untied", untied}, {"without bias", without_bias}, {"exact", exact}, {"grouped", grouped}, {"odd", odd}})
    expect_for_both_types({.config = config, .input = {.tokens = random_tokens(1, 13, 61)}}, name);
}

TEST(TrainingPass, LlamasOfEveryKindWithAndWithoutRecomputation) {
  for (const char* routing : {"sla(distance=2, heads=3)", "sla(distance=3, heads=2, keys=own)", "cla(group=2)"})
    for (const bool recompute : {false, true})
      expect_for_both_types({.config = testing::small_llama(routing),
                             .input = {.tokens = random_tokens(2, 19, 61)},
                             .dropout = recompute ? 0.2 : 0,
                             .recompute = recompute},
                            std::string("llama ") + routing + (recompute ? " recomputed" : ""));
  ModelConfig bare = testing::small_llama("sla(distance=2, heads=3)");
  bare.qkv_bias = bare.output_bias = bare.mlp_bias = bare.query_key_norm = bare.tied_head = false;
  bare.window = 5;
  bare.windowed_layers = {1, 2};
  PassRun run{.config = bare, .input = {.tokens = random_tokens(2, 24, 61)}};
  run.input.positions =
      at::cat({at::arange(11, at::kLong), at::arange(13, at::kLong), at::arange(24, at::kLong)}).view({2, 24});
  expect_for_both_types(run, "bare llama");
}

TEST(TrainingPass, GradientsAddUpAndBuffersAreReused) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const ModelConfig& config : {config_of("sla(distance=2, heads=3)"), testing::small_llama("cla(group=2)")}) {
      const Decoder decoder = decoder_in(config, dtype, dtype);
      const PassRun run{.config = decoder.config(), .input = {.tokens = random_tokens(2, 19, 61)}};
      const Outcome once = fused(decoder, run);
      TrainingPass pass(decoder);
      pass.prepare({.batch = 2, .length = 19});
      std::vector<at::Tensor> gradients = zero_gradients(decoder);
      gradients[decoder.table().layers[0].up_weight].fill_(123);  // set, not added to, the first time
      for (int i = 0; i < 3; ++i) {
        pass.forward(run.input, {});
        at::Tensor(pass.hidden_gradient()).copy_(weights_of_hidden(run));
        pass.backward({.tensors = gradients, .add = i > 0});
      }
      for (size_t i = 0; i < gradients.size(); ++i)
        EXPECT_LT(relative_error(gradients[i], once.gradients[i].to(at::kDouble) * 3), 1e-6);
    }
  }
}

TEST(TrainingPass, TheSameForAnyNumberOfThreadsBitForBit) {
  const int threads = at::get_num_threads();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const ModelConfig& config : {config_of("sla(distance=2, heads=3)"), testing::small_llama("cla(group=2)")}) {
      at::set_num_threads(threads);
      const Decoder decoder = decoder_in(config, dtype, dtype);
      const PassRun run{.config = decoder.config(), .input = {.tokens = random_tokens(3, 31, 61)}, .dropout = 0.1};
      at::set_num_threads(1);
      const Outcome one = fused(decoder, run);
      for (const int count : {2, 5}) {
        at::set_num_threads(count);
        const Outcome many = fused(decoder, run);
        EXPECT_TRUE(at::equal(one.hidden, many.hidden));
        for (size_t i = 0; i < one.gradients.size(); ++i)
          EXPECT_TRUE(at::equal(one.gradients[i], many.gradients[i])) << decoder.table().specs[i].name;
      }
    }
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace skipattn::model
