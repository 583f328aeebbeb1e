// The identity routing is a plain GPT-2 and a plain Llama, written here with no notion of routing.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "skipattn/model/decoder.h"
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

/// The Llama of its papers, in every variant this library has: separate projections, complex rotation, one softmax over a
/// full score matrix.
at::Tensor plain_llama_logits(const Decoder& decoder, const at::Tensor& tokens) {
  const ModelConfig& config = decoder.config();
  const auto& p = decoder.parameters();
  const int64_t batch = tokens.size(0), length = tokens.size(1), d = config.head_width,
                group = config.heads / config.kv_heads;
  const auto norm = [&](const at::Tensor& x, int weight) {
    return p[weight] * x / (x.pow(2).mean(-1, true) + config.norm_epsilon).sqrt();
  };
  at::Tensor frequency = at::pow(config.rotary.base, at::arange(0, d, 2, at::kDouble) / -static_cast<double>(d));
  const at::Tensor turns = frequency * static_cast<double>(config.rotary.original_positions) / (2 * std::numbers::pi);
  const at::Tensor share =
      ((turns - config.rotary.low_frequency) / (config.rotary.high_frequency - config.rotary.low_frequency))
          .clamp(0, 1);
  frequency = (1 - share) * frequency / config.rotary.factor + share * frequency;
  const at::Tensor angles = at::arange(length, at::kDouble).unsqueeze(1) * frequency;
  const at::Tensor turn = at::complex(angles.cos(), angles.sin());  // [T, d/2]
  const auto rotated = [&](const at::Tensor& heads) {               // [B, h, T, d]
    const auto halves = heads.chunk(2, -1);
    const at::Tensor turned = at::complex(halves[0].contiguous(), halves[1].contiguous()) * turn;
    return at::cat({at::real(turned), at::imag(turned)}, -1);
  };
  const at::Tensor hidden_future = at::ones({length, length}, at::kBool).triu(1);
  at::Tensor x = at::embedding(p[decoder.table().token_embedding], tokens);
  for (const LayerIndex& layer : decoder.table().layers) {
    const auto project = [&](int64_t begin, int64_t heads) {
      return at::linear(norm(x, layer.norm1_weight), p[layer.qkv_weight].narrow(0, begin * d, heads * d),
                        p[layer.qkv_bias].narrow(0, begin * d, heads * d))
          .view({batch, length, heads, d})
          .transpose(1, 2);
    };
    const at::Tensor q = rotated(norm(project(0, config.heads), layer.query_norm));
    const at::Tensor k =
        rotated(norm(project(config.heads, config.kv_heads), layer.key_norm)).repeat_interleave(group, 1);
    const at::Tensor v = project(config.heads + config.kv_heads, config.kv_heads).repeat_interleave(group, 1);
    const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(d));
    const at::Tensor weights = scores.masked_fill(hidden_future, -std::numeric_limits<double>::infinity()).softmax(-1);
    const at::Tensor mixed = at::matmul(weights, v).transpose(1, 2).reshape({batch, length, config.heads * d});
    x = x + at::linear(mixed, p[layer.output_weight], p[layer.output_bias]);
    const auto gate_up = at::linear(norm(x, layer.norm2_weight), p[layer.up_weight], p[layer.up_bias]).chunk(2, -1);
    x = x + at::linear(gate_up[0] * at::sigmoid(gate_up[0]) * gate_up[1], p[layer.down_weight], p[layer.down_bias]);
  }
  return at::linear(norm(x, decoder.table().norm_weight), p[decoder.table().head]);
}

TEST(PlainModels, TheIdentityRoutingIsAPlainGpt) {
  const Decoder decoder = small_decoder(small_config("baseline"));
  const at::Tensor tokens = random_tokens(2, 33, 61);
  EXPECT_LT(
      largest_difference(decoder.logits(decoder.hidden_states({.tokens = tokens})), plain_gpt_logits(decoder, tokens)),
      1e-10);
}

TEST(PlainModels, TheIdentityRoutingIsAPlainLlama) {
  for (const bool tied : {true, false}) {
    ModelConfig config = testing::small_llama("baseline");
    config.tied_head = tied;
    const Decoder decoder = small_decoder(config);
    const at::Tensor tokens = random_tokens(2, 33, 61);
    EXPECT_LT(largest_difference(decoder.logits(decoder.hidden_states({.tokens = tokens})),
                                 plain_llama_logits(decoder, tokens)),
              1e-10);
  }
}

}  // namespace
}  // namespace skipattn::model
