// config.json of a Hugging Face directory (GPT-2, Llama, Mistral, Qwen2, Qwen3) ↔ ModelConfig.
//
// A baseline that a class of Transformers computes is written exactly as it expects it ("model_type": "gpt2", "llama", …).
// A routed model has weights for live heads only, which no such class can hold, so it carries another "model_type"
// ("skipattn_llama") and the routing as "kv_routing".
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "skipattn/model/config.h"

namespace skipattn::model {

/// Reads folder/config.json. InputError: absent, not JSON, a model type or an option that is not supported (all named).
ModelConfig read_config_json(const std::filesystem::path& folder);

/// The config as JSON; `config` resolved.
nlohmann::json to_config_json(const ModelConfig& config);

/// Whether Transformers opens what is saved of this config with its own class; `config` resolved.
bool opens_in_transformers(const ModelConfig& config);

}  // namespace skipattn::model
