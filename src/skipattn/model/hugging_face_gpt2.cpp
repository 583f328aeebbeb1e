// GPT-2's config.json.
#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"
#include "skipattn/model/hugging_face_families.h"

namespace skipattn::model {

namespace {

std::string activation_from(const std::string& name, const std::string& source) {
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return "gelu_new";
  if (name == "gelu") return "gelu";
  throw InputError(
      "'{}': activation_function '{}' is not supported; supported are gelu_new, gelu_pytorch_tanh and gelu", source,
      name);
}

}  // namespace

ModelConfig read_gpt2_config(const ConfigFile& file) {
  const auto& [json, source, family, ours] = file;
  if (io::json_get_or<bool>(json, "add_cross_attention", source, false))
    throw InputError("'{}': add_cross_attention = true is not supported; only decoders without cross-attention are",
                     source);
  ModelConfig config;
  config.layers = io::json_get<int64_t>(json, "n_layer", source);
  config.heads = io::json_get<int64_t>(json, "n_head", source);
  config.width = io::json_get<int64_t>(json, "n_embd", source);
  config.kv_heads = io::json_get_or<int64_t>(json, "n_kv_head", source, 0);
  config.head_width = io::json_get_or<int64_t>(json, "head_dim", source, 0);
  config.mlp_width = io::json_get_or<int64_t>(json, "n_inner", source, 0);
  config.vocabulary = io::json_get<int64_t>(json, "vocab_size", source);
  config.positions = io::json_get_or<int64_t>(json, "n_positions", source, 1024);
  config.tied_head = io::json_get_or<bool>(json, "tie_word_embeddings", source, true);
  config.bias = io::json_get_or<bool>(json, "bias", source, true);
  config.activation =
      activation_from(io::json_get_or<std::string>(json, "activation_function", source, "gelu_new"), source);
  config.norm_epsilon = io::json_get_or<double>(json, "layer_norm_epsilon", source, 1e-5);
  config.window = io::json_get_or<int64_t>(json, "sliding_window", source, 0);
  if (json.contains("windowed_layers"))
    config.windowed_layers = io::json_get<std::vector<int64_t>>(json, "windowed_layers", source);
  config.scale_attention = io::json_get_or<bool>(json, "scale_attn_weights", source, true);
  config.scale_by_layer = io::json_get_or<bool>(json, "scale_attn_by_inverse_layer_idx", source, false);
  config.initializer_range = io::json_get_or<double>(json, "initializer_range", source, 0.02);
  return config;
}

bool gpt2_class_holds(const ModelConfig& config) {
  return config.kv_heads == config.heads && config.head_width * config.heads == config.width && config.window == 0;
}

nlohmann::json write_gpt2_config(const ModelConfig& config) {
  nlohmann::json json = {
      {"activation_function", config.activation},
      {"n_layer", config.layers},
      {"n_head", config.heads},
      {"n_embd", config.width},
      {"n_inner", config.mlp_width},
      {"n_positions", config.positions},
      {"n_ctx", config.positions},
      {"layer_norm_epsilon", config.norm_epsilon},
      {"scale_attn_weights", config.scale_attention},
      {"scale_attn_by_inverse_layer_idx", config.scale_by_layer},
      {"attn_pdrop", 0.0},
      {"embd_pdrop", 0.0},
      {"resid_pdrop", 0.0},
  };
  // Keys GPT-2 does not know appear only where they say something.
  if (config.kv_heads != config.heads) json["n_kv_head"] = config.kv_heads;
  if (config.head_width * config.heads != config.width) json["head_dim"] = config.head_width;
  if (config.window > 0) json["sliding_window"] = config.window;
  if (!config.windowed_layers.empty()) json["windowed_layers"] = config.windowed_layers;
  if (!config.bias) json["bias"] = false;
  return json;
}

}  // namespace skipattn::model
