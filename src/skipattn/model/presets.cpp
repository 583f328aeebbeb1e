// The named models: sizes that were published, and small ones that a laptop trains in minutes.
#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/model/config.h"

namespace skipattn::model {

namespace {

struct Gpt2Preset {
  const char* name;
  int64_t layers, heads, width;
};
constexpr Gpt2Preset kGpt2[] = {
    {"gpt2-tiny", 4, 4, 128},      {"gpt2-mini", 6, 6, 192},     {"gpt2-small", 8, 8, 384}, {"gpt2", 12, 12, 768},
    {"gpt2-medium", 24, 16, 1024}, {"gpt2-large", 36, 20, 1280}, {"gpt2-xl", 48, 25, 1600},
};

struct LlamaPreset {
  const char* name;
  int64_t layers, heads, kv_heads, width, mlp_width;
};
constexpr LlamaPreset kLlama[] = {
    {"llama-tiny", 4, 4, 2, 128, 352},        // ours, beside gpt2-tiny
    {"llama-small", 8, 8, 4, 384, 1024},      // ours, beside gpt2-small
    {"llama-160m", 12, 12, 4, 768, 2048},     // ours, beside gpt2
    {"llama-1.1b", 22, 32, 4, 2048, 5632},    // TinyLlama (Zhang et al. 2024)
    {"llama-3.2-1b", 16, 32, 8, 2048, 8192},  // Llama 3.2, 1B
};

ModelConfig gpt2_config(const Gpt2Preset& sizes) {
  ModelConfig config;
  config.layers = sizes.layers;
  config.heads = sizes.heads;
  config.width = sizes.width;
  return config;
}

ModelConfig llama_config(const LlamaPreset& sizes) {
  ModelConfig config;
  config.family = "llama";
  config.layers = sizes.layers;
  config.heads = sizes.heads;
  config.kv_heads = sizes.kv_heads;
  config.width = sizes.width;
  config.mlp_width = sizes.mlp_width;
  config.tied_head = std::string_view(sizes.name) != "llama-1.1b";
  if (std::string_view(sizes.name) == "llama-3.2-1b") {
    config.vocabulary = 128256;
    config.positions = 131072;
    config.rotary = {.base = 500000.0, .scaling = "llama3", .factor = 32.0};
  }
  return config;
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Gpt2Preset& item : kGpt2) names.emplace_back(item.name);
  for (const LlamaPreset& item : kLlama) names.emplace_back(item.name);
  return names;
}

ModelConfig preset(const std::string& name) {
  const auto named = [&](ModelConfig config) {
    config.name = name;
    config.derive();
    return config;
  };
  for (const Gpt2Preset& item : kGpt2)
    if (name == item.name) return named(gpt2_config(item));
  for (const LlamaPreset& item : kLlama)
    if (name == item.name) return named(llama_config(item));
  throw InputError("model '{}': unknown name{}; known are {}, or a folder with a config.json", name,
                   did_you_mean(name, preset_names()), join(preset_names(), ", "));
}

}  // namespace skipattn::model
