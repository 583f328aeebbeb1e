// Small models that the tests of several modules run.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "skipattn/model/decoder.h"

namespace skipattn::model::testing {

inline ModelConfig small_config(const std::string& routing) {
  ModelConfig config;
  config.name = "";
  config.layers = 4;
  config.heads = 4;
  config.width = 32;
  config.vocabulary = 61;
  config.positions = 40;
  config.routing = routing;
  config.resolve();
  return config;
}

/// A Llama with everything its families have: grouped queries, heads of their own width, biases, query and key norms,
/// scaled rotary positions.
inline ModelConfig small_llama(const std::string& routing) {
  ModelConfig config = small_config(routing);
  config.family = "llama";
  config.heads = 8;
  config.kv_heads = 4;
  config.head_width = 6;
  config.mlp_width = 40;
  config.activation = "silu";
  config.bias = false;
  config.qkv_bias = config.mlp_bias = config.output_bias = true;
  config.query_key_norm = true;
  config.rotary = {.base = 100.0, .scaling = "llama3", .factor = 4.0, .original_positions = 16};
  return config;
}

/// A small decoder in fp64 whose biases and norms are random too, so that nothing hides behind a zero or a one.
inline Decoder small_decoder(const ModelConfig& config, uint64_t seed = 1) {
  Decoder decoder(config);
  decoder.initialize(seed);
  at::manual_seed(seed);
  const auto& specs = decoder.table().specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    at::Tensor value = decoder.parameters()[i].to(at::kDouble);
    if (specs[i].init != Init::kNormal) value = value + 0.3 * at::randn(specs[i].shape(), at::kDouble);
    // Larger than a real initialisation, so that attention is far from uniform.
    if (specs[i].init == Init::kNormal) value = value * 10;
    decoder.set_parameter(static_cast<int>(i), value);
  }
  return decoder;
}

inline at::Tensor random_tokens(int64_t batch, int64_t length, int64_t vocabulary) {
  at::manual_seed(11);
  return at::randint(0, vocabulary, {batch, length}, at::kLong);
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return 0;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

/// Routings of every kind for a model of 4 layers and 4 KV heads.
inline std::vector<std::string> routings_of_every_kind() {
  return {"baseline",
          "sla(distance=2, heads=3)",
          "sla(distance=3, heads=2, keys=own)",
          "sla(distance=1, heads=4, values=own, which=first)",
          "sla(distance=1, heads=2, chain=resolved)",
          "skipv1(heads=1/2)",
          "cla(group=2)",
          "yoco(split=1/2, window=8)",
          R"({"layers": 4, "kv_heads": 4, "routes": [)"
          R"({"layer": 2, "head": [0, 1], "key": 0, "value": 1},)"
          R"({"layer": 3, "head": 2, "key": ["own", 1], "value": ["own", 0]},)"
          R"({"layer": 3, "head": 0, "key": {"layer": 1, "head": 3}, "value": {"layer": 0, "head": 2}},)"
          R"({"layer": 3, "head": 1, "key": "none", "value": "none"}]})"};
}

}  // namespace skipattn::model::testing
