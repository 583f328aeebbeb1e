#include "skipattn/model/hugging_face.h"

#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::model {

namespace {

constexpr const char* kRoutedType = "skipattn_gpt2";

std::string activation_from(const std::string& name, const std::string& source) {
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") return "gelu_new";
  if (name == "gelu") return "gelu";
  throw InputError(
      "'{}': activation_function '{}' is not supported; supported are gelu_new, gelu_pytorch_tanh and gelu", source,
      name);
}

void refuse_unsupported(const nlohmann::json& json, const std::string& source) {
  const auto type = io::json_get_or<std::string>(json, "model_type", source, "");
  if (type != "gpt2" && type != kRoutedType)
    throw InputError("'{}': model_type '{}' is not supported; supported are gpt2 and {}", source, type, kRoutedType);
  if (io::json_get_or<bool>(json, "add_cross_attention", source, false))
    throw InputError("'{}': add_cross_attention = true is not supported; only decoders without cross-attention are",
                     source);
}

}  // namespace

ModelConfig read_config_json(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  if (!std::filesystem::is_directory(folder)) throw InputError("model '{}': no such folder", folder.string());
  if (!std::filesystem::exists(path))
    throw InputError("model '{}': has no config.json; a model folder holds config.json and model.safetensors",
                     folder.string());
  const nlohmann::json json = io::read_json_file(path);
  const std::string source = path.string();
  refuse_unsupported(json, source);

  ModelConfig config;
  config.name = "";
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
  config.scale_attention = io::json_get_or<bool>(json, "scale_attn_weights", source, true);
  config.scale_by_layer = io::json_get_or<bool>(json, "scale_attn_by_inverse_layer_idx", source, false);
  config.initializer_range = io::json_get_or<double>(json, "initializer_range", source, 0.02);
  config.end_of_text = io::json_get_or<int64_t>(json, "eos_token_id", source, -1);
  if (json.contains("kv_routing")) config.routing = routing::routing_text(json["kv_routing"]);
  config.derive();
  config.validate("'" + source + "': ");
  return config;
}

nlohmann::json to_config_json(const ModelConfig& config) {
  const bool baseline = routing::parse_routing(config.routing, config.routing_shape()).is_baseline();
  nlohmann::json json = {
      {"architectures", {"GPT2LMHeadModel"}},
      {"model_type", baseline ? "gpt2" : kRoutedType},
      {"kv_routing", config.routing},
      {"activation_function", config.activation},
      {"n_layer", config.layers},
      {"n_head", config.heads},
      {"n_embd", config.width},
      {"n_inner", config.mlp_width},
      {"n_positions", config.positions},
      {"n_ctx", config.positions},
      {"vocab_size", config.vocabulary},
      {"tie_word_embeddings", config.tied_head},
      {"layer_norm_epsilon", config.norm_epsilon},
      {"initializer_range", config.initializer_range},
      {"scale_attn_weights", config.scale_attention},
      {"scale_attn_by_inverse_layer_idx", config.scale_by_layer},
      {"attn_pdrop", 0.0},
      {"embd_pdrop", 0.0},
      {"resid_pdrop", 0.0},
      {"torch_dtype", "float32"},
      {"use_cache", true},
  };
  json["bos_token_id"] = json["eos_token_id"] =
      config.end_of_text >= 0 ? nlohmann::json(config.end_of_text) : nlohmann::json(nullptr);
  // Keys GPT-2 does not know appear only where they say something.
  if (config.kv_heads != config.heads) json["n_kv_head"] = config.kv_heads;
  if (config.head_width * config.heads != config.width) json["head_dim"] = config.head_width;
  if (config.window > 0) json["sliding_window"] = config.window;
  if (!config.bias) json["bias"] = false;
  const bool plain =
      config.kv_heads == config.heads && config.head_width * config.heads == config.width && config.window == 0;
  if (!plain) json["model_type"] = kRoutedType;
  return json;
}

}  // namespace skipattn::model
