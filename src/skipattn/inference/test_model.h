// For the tests of this module: a small model with large weights, so that a wrong key or value shows in the logits.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "skipattn/core/random.h"
#include "skipattn/inference/padded_batch.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

struct TestShape {
  int64_t layers = 6;
  int64_t heads = 4;
  int64_t kv_heads = 4;
  int64_t window = 0;
  int64_t positions = 96;
  std::string family = "gpt2";
};

constexpr int64_t kTestVocabulary = 61;

inline model::Decoder test_model(const std::string& routing, const TestShape& shape = {},
                                 at::ScalarType dtype = at::kFloat) {
  at::set_num_threads(1);  // for tensors this small threads are only in each other's way
  model::ModelConfig config;
  config.family = shape.family;
  if (config.is_llama()) {
    config.activation = "silu";
    config.tied_head = shape.family == "qwen2";
    config.qkv_bias = shape.family == "qwen2";
    config.query_key_norm = shape.family == "qwen3";
  }
  config.layers = shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.width = 8 * shape.heads;
  config.vocabulary = kTestVocabulary;
  config.positions = shape.positions;
  config.window = shape.window;
  config.initializer_range = 0.25;
  config.routing = routing;
  model::Decoder decoder(config);
  decoder.initialize(7);
  decoder.convert_to(dtype);
  return decoder;
}

inline TokenIds test_tokens(int64_t count, uint64_t seed) {
  Random random(seed);
  TokenIds tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<uint32_t>(random.below(kTestVocabulary)));
  return tokens;
}

/// Logits of one forward pass without a cache, fp32 [tokens, vocabulary].
inline at::Tensor full_logits(const model::Decoder& decoder, const TokenIds& tokens) {
  const std::vector<int64_t> ids(tokens.begin(), tokens.end());
  const model::Input input{.tokens = at::tensor(ids, at::kLong).unsqueeze(0), .positions = {}, .first_key = {}};
  return decoder.logits(decoder.hidden_states(input)).squeeze(0).to(at::kFloat);
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace skipattn::inference
