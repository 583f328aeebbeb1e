#include "skipattn/model/config.h"

#include <algorithm>
#include <cmath>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

namespace skipattn::model {

namespace {

void find_size_faults(const ModelConfig& config, FaultList& faults) {
  const auto at_least = [&](const char* key, int64_t value, int64_t minimum) {
    if (value < minimum) faults.add("{}={}: must be {} or more", key, value, minimum);
  };
  at_least("layers", config.layers, 1);
  at_least("heads", config.heads, 1);
  at_least("kv_heads", config.kv_heads, 1);
  at_least("width", config.width, 1);
  at_least("head_width", config.head_width, 1);
  at_least("mlp_width", config.mlp_width, 1);
  at_least("vocabulary", config.vocabulary, 1);
  at_least("positions", config.positions, 1);
  at_least("window", config.window, 0);
  if (config.layers > 1000) faults.add("layers={}: must be 1..1000", config.layers);
  if (config.kv_heads > 0 && config.heads % config.kv_heads != 0)
    faults.add("kv_heads={}: must divide heads={}", config.kv_heads, config.heads);
  if (!(config.norm_epsilon > 0)) faults.add("norm_epsilon={}: must be positive", config.norm_epsilon);
  if (!(config.initializer_range > 0)) faults.add("initializer_range={}: must be positive", config.initializer_range);
}

void find_layer_faults(const ModelConfig& config, FaultList& faults) {
  if (!config.windowed_layers.empty() && config.window == 0) faults.add("windowed_layers: needs window, which is 0");
  for (size_t i = 0; i < config.windowed_layers.size(); ++i) {
    const int64_t layer = config.windowed_layers[i];
    if (layer < 0 || layer >= config.layers || (i > 0 && layer <= config.windowed_layers[i - 1]))
      faults.add("windowed_layers: {} must be a layer 0..{}, each once, ascending", layer, config.layers - 1);
  }
}

/// Switches that belong to the other family.
void find_family_faults(const ModelConfig& config, FaultList& faults) {
  const std::string& activation = config.activation;
  if (!config.is_llama()) {
    if (activation != "gelu_new" && activation != "gelu")
      faults.add("activation='{}': must be gelu_new or gelu", activation);
    for (const auto& [key, given] :
         {std::pair("qkv_bias", config.qkv_bias), std::pair("output_bias", config.output_bias),
          std::pair("mlp_bias", config.mlp_bias), std::pair("query_key_norm", config.query_key_norm)})
      if (given) faults.add("{}=true: belongs to the Llama families, family is gpt2", key);
    return;
  }
  if (activation != "silu") faults.add("activation='{}': must be silu with family {}", activation, config.family);
  if (config.head_width % 2 != 0) faults.add("head_width={}: must be even for the rotary embedding", config.head_width);
  if (!config.scale_attention || config.scale_by_layer)
    faults.add("softmax scales other than 1/sqrt(head_width) belong to family gpt2, family is {}", config.family);
  config.rotary.find_faults(faults);
}

}  // namespace

std::vector<std::string> family_names() {
  return {"gpt2", "llama", "mistral", "qwen2", "qwen3"};
}

void ModelConfig::derive() {
  if (kv_heads == 0) kv_heads = heads;
  if (head_width == 0 && heads > 0) head_width = width / heads;
  if (mlp_width == 0) mlp_width = is_llama() ? (8 * width / 3 + 255) / 256 * 256 : 4 * width;
  if (is_llama() && activation == "gelu_new") activation = "silu";  // gelu_new: the field's default
  if (family == "qwen2") qkv_bias = true;
  if (family == "qwen3") query_key_norm = true;
}

void ModelConfig::resolve() {
  derive();
  if (vocabulary == 0) vocabulary = is_llama() ? 32000 : 50257;
  if (positions == 0) positions = is_llama() ? 2048 : 1024;
}

void ModelConfig::validate(const std::string& prefix) const {
  ModelConfig full = *this;
  full.resolve();
  FaultList faults;
  const std::vector<std::string> families = family_names();
  if (std::ranges::find(families, family) == families.end())
    faults.add("family='{}': must be one of {}", family, join(families, ", "));
  find_size_faults(full, faults);
  if (heads > 0 && head_width == 0 && width % heads != 0)
    faults.add("width={}: must be a multiple of heads={} unless head_width is given", width, heads);
  find_layer_faults(full, faults);
  find_family_faults(full, faults);
  faults.throw_if_any(prefix);
  routing::parse_routing(full.routing, full.routing_shape());
}

routing::Shape ModelConfig::routing_shape() const {
  return {static_cast<int>(layers), static_cast<int>(kv_heads == 0 ? heads : kv_heads)};
}

routing::Dimensions ModelConfig::dimensions() const {
  ModelConfig full = *this;
  full.resolve();
  routing::Dimensions dims;
  dims.layers = full.layers;
  dims.heads = full.heads;
  dims.kv_heads = full.kv_heads;
  dims.head_width = full.head_width;
  dims.width = full.width;
  dims.mlp_width = full.mlp_width;
  dims.mlp_gated = is_llama();
  dims.vocabulary = full.vocabulary;
  dims.positions = is_llama() ? 0 : full.positions;
  dims.tied_head = full.tied_head;
  dims.attention_bias = is_llama() ? qkv_bias : bias;
  dims.output_bias = is_llama() ? output_bias : bias;
  dims.mlp_bias = is_llama() ? mlp_bias : bias;
  dims.norm_bias = !is_llama() && bias;
  dims.query_key_norm = query_key_norm;
  for (int64_t l = 0; l < layers; ++l) dims.windows.push_back(layer_window(l));
  return dims;
}

double ModelConfig::softmax_scale(int64_t layer) const {
  const double base = scale_attention ? 1.0 / std::sqrt(static_cast<double>(head_width)) : 1.0;
  return scale_by_layer ? base / static_cast<double>(layer + 1) : base;
}

int64_t ModelConfig::layer_window(int64_t layer) const {
  return windowed_layers.empty() || std::ranges::binary_search(windowed_layers, layer) ? window : 0;
}

}  // namespace skipattn::model
