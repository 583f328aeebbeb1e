#include "skipattn/model/config.h"

#include <cmath>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

namespace skipattn::model {

namespace {

struct Preset {
  const char* name;
  int64_t layers, heads, width;
};

// The four published GPT-2 sizes, and small ones that a laptop trains in minutes.
constexpr Preset kPresets[] = {
    {"gpt2-tiny", 4, 4, 128},      {"gpt2-mini", 6, 6, 192},     {"gpt2-small", 8, 8, 384}, {"gpt2", 12, 12, 768},
    {"gpt2-medium", 24, 16, 1024}, {"gpt2-large", 36, 20, 1280}, {"gpt2-xl", 48, 25, 1600},
};

}  // namespace

void ModelConfig::derive() {
  if (kv_heads == 0) kv_heads = heads;
  if (head_width == 0 && heads > 0) head_width = width / heads;
  if (mlp_width == 0) mlp_width = 4 * width;
}

void ModelConfig::resolve() {
  derive();
  if (vocabulary == 0) vocabulary = 50257;
  if (positions == 0) positions = 1024;
}

void ModelConfig::validate(const std::string& prefix) const {
  ModelConfig full = *this;
  full.resolve();
  FaultList faults;
  const auto at_least = [&](const char* key, int64_t value, int64_t minimum) {
    if (value < minimum) faults.add("{}={}: must be {} or more", key, value, minimum);
  };
  if (full.family != "gpt2") faults.add("family='{}': supported is 'gpt2'", full.family);
  at_least("layers", full.layers, 1);
  at_least("heads", full.heads, 1);
  at_least("kv_heads", full.kv_heads, 1);
  at_least("width", full.width, 1);
  at_least("head_width", full.head_width, 1);
  at_least("mlp_width", full.mlp_width, 1);
  at_least("vocabulary", full.vocabulary, 1);
  at_least("positions", full.positions, 1);
  at_least("window", full.window, 0);
  if (full.layers > 1000) faults.add("layers={}: must be 1..1000", full.layers);
  if (heads > 0 && head_width == 0 && width % heads != 0)
    faults.add("width={}: must be a multiple of heads={} unless head_width is given", width, heads);
  if (full.kv_heads > 0 && full.heads % full.kv_heads != 0)
    faults.add("kv_heads={}: must divide heads={}", full.kv_heads, full.heads);
  if (activation != "gelu_new" && activation != "gelu")
    faults.add("activation='{}': must be gelu_new or gelu", activation);
  if (!(norm_epsilon > 0)) faults.add("norm_epsilon={}: must be positive", norm_epsilon);
  if (!(initializer_range > 0)) faults.add("initializer_range={}: must be positive", initializer_range);
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
  dims.vocabulary = full.vocabulary;
  dims.positions = full.positions;
  dims.tied_head = full.tied_head;
  dims.attention_bias = dims.output_bias = dims.mlp_bias = dims.norm_bias = full.bias;
  return dims;
}

double ModelConfig::softmax_scale(int64_t layer) const {
  const double base = scale_attention ? 1.0 / std::sqrt(static_cast<double>(head_width)) : 1.0;
  return scale_by_layer ? base / static_cast<double>(layer + 1) : base;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& item : kPresets) names.emplace_back(item.name);
  return names;
}

ModelConfig preset(const std::string& name) {
  for (const Preset& item : kPresets) {
    if (name != item.name) continue;
    ModelConfig config;
    config.name = name;
    config.layers = item.layers;
    config.heads = item.heads;
    config.width = item.width;
    config.derive();
    return config;
  }
  throw InputError("model '{}': unknown name{}; known are {}, or a folder with a config.json", name,
                   did_you_mean(name, preset_names()), join(preset_names(), ", "));
}

}  // namespace skipattn::model
