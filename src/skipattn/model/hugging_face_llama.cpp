// The config.json of Llama, Mistral, Qwen2 and Qwen3: what differs between them is which keys they have and what an absent
// one means.
#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"
#include "skipattn/model/hugging_face_families.h"

namespace skipattn::model {

namespace {

constexpr const char* kWindowed = "sliding_attention";
constexpr const char* kFull = "full_attention";

/// "rope_parameters" as newer folders have it, else "rope_scaling" beside "rope_theta".
RotaryConfig read_rotary(const ConfigFile& file, int64_t positions) {
  const std::string& source = file.source;
  const auto given = [&](const char* key) {
    const auto found = file.json.find(key);
    return found == file.json.end() || found->is_null() ? nlohmann::json() : *found;
  };
  nlohmann::json rope = given("rope_parameters");
  if (rope.is_null()) rope = given("rope_scaling");
  if (rope.is_null()) rope = nlohmann::json::object();
  RotaryConfig rotary;
  rotary.base = io::json_get_or<double>(file.json, "rope_theta", source, 10000.0);
  rotary.base = io::json_get_or<double>(rope, "rope_theta", source, rotary.base);
  const auto old_name = io::json_get_or<std::string>(rope, "type", source, "default");
  const auto type = io::json_get_or<std::string>(rope, "rope_type", source, old_name);
  if (type != "default" && type != "linear" && type != "llama3")
    throw InputError("'{}': rope_type '{}' is not supported; supported are default, linear and llama3", source, type);
  for (const nlohmann::json& place : {file.json, rope})
    if (const auto share = io::json_get_or<double>(place, "partial_rotary_factor", source, 1.0); share != 1.0)
      throw InputError("'{}': partial_rotary_factor {} is not supported; heads are turned whole", source, share);
  if (type == "default") return rotary;
  rotary.scaling = type;
  rotary.factor = io::json_get<double>(rope, "factor", source);
  if (type == "linear") return rotary;
  rotary.low_frequency = io::json_get<double>(rope, "low_freq_factor", source);
  rotary.high_frequency = io::json_get<double>(rope, "high_freq_factor", source);
  rotary.original_positions = io::json_get_or<int64_t>(rope, "original_max_position_embeddings", source, positions);
  return rotary;
}

/// "layer_types", one word a layer: the layers with a window, or nothing where the key is absent.
std::optional<std::vector<int64_t>> read_layer_types(const ConfigFile& file) {
  const auto found = file.json.find("layer_types");
  if (found == file.json.end() || found->is_null()) return std::nullopt;
  std::vector<int64_t> windowed;
  int64_t layer = 0;
  for (const auto& type : io::json_get<std::vector<std::string>>(file.json, "layer_types", file.source)) {
    if (type != kWindowed && type != kFull)
      throw InputError("'{}': layer type '{}' is not supported; supported are {} and {}", file.source, type, kFull,
                       kWindowed);
    if (type == kWindowed) windowed.push_back(layer);
    ++layer;
  }
  return windowed;
}

/// Which layers look back only so far. Llama has no windows; Mistral's are everywhere; Qwen's begin at a layer.
void read_windows(const ConfigFile& file, ModelConfig& config) {
  const bool qwen = file.family.starts_with("qwen");
  if (!file.ours && file.family == "llama") return;
  if (!file.ours && qwen && !io::json_get_or<bool>(file.json, "use_sliding_window", file.source, false)) return;
  const bool absent = !file.json.contains("sliding_window");  // null says: none
  config.window = absent && !file.ours ? 4096 : io::json_get_or<int64_t>(file.json, "sliding_window", file.source, 0);
  if (config.window == 0 || (!file.ours && !qwen)) return;
  std::optional<std::vector<int64_t>> windowed = read_layer_types(file);
  if (!windowed && qwen) {
    windowed.emplace();
    for (int64_t l = io::json_get_or<int64_t>(file.json, "max_window_layers", file.source, 28); l < config.layers; ++l)
      windowed->push_back(l);
  }
  if (!windowed) return;
  if (windowed->empty()) config.window = 0;
  if (std::ssize(*windowed) < config.layers) config.windowed_layers = *windowed;
}

void read_sizes(const ConfigFile& file, ModelConfig& config) {
  const auto& [json, source, family, ours] = file;
  config.layers = io::json_get<int64_t>(json, "num_hidden_layers", source);
  config.heads = io::json_get<int64_t>(json, "num_attention_heads", source);
  config.width = io::json_get<int64_t>(json, "hidden_size", source);
  config.mlp_width = io::json_get<int64_t>(json, "intermediate_size", source);
  config.vocabulary = io::json_get<int64_t>(json, "vocab_size", source);
  config.positions = io::json_get_or<int64_t>(json, "max_position_embeddings", source,
                                              family == "llama"     ? 2048
                                              : family == "mistral" ? 131072
                                                                    : 32768);
  // What Transformers takes for an absent key; null means one a query head.
  const int64_t absent = family == "llama" ? 0 : family == "mistral" ? 8 : 32;
  config.kv_heads =
      io::json_get_or<int64_t>(json, "num_key_value_heads", source, json.contains("num_key_value_heads") ? 0 : absent);
  config.head_width = io::json_get_or<int64_t>(json, "head_dim", source, family == "qwen3" ? 128 : 0);
}

void read_switches(const ConfigFile& file, ModelConfig& config) {
  const auto& [json, source, family, ours] = file;
  const auto flag = [&](const char* key, bool absent) { return io::json_get_or<bool>(json, key, source, absent); };
  const bool attention_bias = family != "mistral" && family != "qwen2" && flag("attention_bias", false);
  config.qkv_bias = attention_bias || family == "qwen2";
  config.output_bias = attention_bias;
  config.mlp_bias = family == "llama" && flag("mlp_bias", false);
  config.query_key_norm = family == "qwen3";
  if (!ours) return;
  // Mixtures that no class of Transformers has.
  config.qkv_bias = flag("qkv_bias", config.qkv_bias);
  config.output_bias = flag("output_bias", config.output_bias);
  config.mlp_bias = flag("mlp_bias", config.mlp_bias);
  config.query_key_norm = flag("query_key_norm", config.query_key_norm);
}

bool has_windows(const ModelConfig& config) {
  return config.window > 0;
}

bool all_windowed(const ModelConfig& config) {
  return config.windowed_layers.empty() || std::ssize(config.windowed_layers) == config.layers;
}

/// Both the older keys, which newer versions of Transformers read too, and nothing for what is the default.
void write_rotary(const RotaryConfig& rotary, nlohmann::json& json) {
  json["rope_theta"] = rotary.base;
  json["rope_scaling"] = nullptr;
  if (rotary.scaling == "none") return;
  json["rope_scaling"] = {{"rope_type", rotary.scaling}, {"factor", rotary.factor}};
  if (rotary.scaling != "llama3") return;
  json["rope_scaling"].update({{"low_freq_factor", rotary.low_frequency},
                               {"high_freq_factor", rotary.high_frequency},
                               {"original_max_position_embeddings", rotary.original_positions}});
}

void write_windows(const ModelConfig& config, nlohmann::json& json) {
  json["sliding_window"] = has_windows(config) ? nlohmann::json(config.window) : nlohmann::json(nullptr);
  if (config.family == "mistral" && all_windowed(config)) return;
  json["use_sliding_window"] = has_windows(config);
  std::vector<std::string> types;
  int64_t first = config.layers;  // older versions of Transformers know only where windows begin
  for (int64_t l = 0; l < config.layers; ++l) {
    const bool windowed = config.layer_window(l) > 0;
    types.emplace_back(windowed ? kWindowed : kFull);
    if (windowed && first == config.layers) first = l;
  }
  json["layer_types"] = types;
  json["max_window_layers"] = first;
}

}  // namespace

ModelConfig read_llama_config(const ConfigFile& file) {
  const auto& [json, source, family, ours] = file;
  const auto activation = io::json_get_or<std::string>(json, "hidden_act", source, "silu");
  if (activation != "silu" && activation != "swish")
    throw InputError("'{}': hidden_act '{}' is not supported; supported is silu", source, activation);
  ModelConfig config;
  config.family = family;
  config.bias = false;
  config.activation = "silu";
  read_sizes(file, config);
  read_switches(file, config);
  read_windows(file, config);
  config.rotary = read_rotary(file, config.positions);
  config.tied_head = io::json_get_or<bool>(json, "tie_word_embeddings", source, false);
  config.norm_epsilon = io::json_get_or<double>(json, "rms_norm_eps", source, 1e-6);
  config.initializer_range = io::json_get_or<double>(json, "initializer_range", source, 0.02);
  return config;
}

bool llama_class_holds(const ModelConfig& config) {
  const bool normed = config.query_key_norm, biased = config.qkv_bias || config.output_bias || config.mlp_bias;
  if (config.family == "llama") return !normed && config.output_bias == config.qkv_bias && !has_windows(config);
  if (config.family == "mistral") return !normed && !biased && (!has_windows(config) || all_windowed(config));
  if (config.mlp_bias) return false;
  if (config.family == "qwen3") return normed && config.output_bias == config.qkv_bias;
  return !normed && config.qkv_bias && !config.output_bias && config.head_width * config.heads == config.width;
}

nlohmann::json write_llama_config(const ModelConfig& config) {
  nlohmann::json json = {
      {"hidden_act", config.activation},       {"num_hidden_layers", config.layers},
      {"num_attention_heads", config.heads},   {"num_key_value_heads", config.kv_heads},
      {"head_dim", config.head_width},         {"hidden_size", config.width},
      {"intermediate_size", config.mlp_width}, {"max_position_embeddings", config.positions},
      {"rms_norm_eps", config.norm_epsilon},   {"attention_dropout", 0.0},
  };
  write_rotary(config.rotary, json);
  if (config.family != "llama" || has_windows(config)) write_windows(config, json);
  if (config.family == "llama") json["mlp_bias"] = config.mlp_bias;
  if (config.family == "llama" || config.family == "qwen3") json["attention_bias"] = config.qkv_bias;
  if (llama_class_holds(config)) return json;
  json.update({{"qkv_bias", config.qkv_bias},
               {"output_bias", config.output_bias},
               {"mlp_bias", config.mlp_bias},
               {"query_key_norm", config.query_key_norm}});
  return json;
}

}  // namespace skipattn::model
