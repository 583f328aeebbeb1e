// config.json of a Hugging Face GPT-2 directory ↔ ModelConfig.
//
// A baseline is written exactly as Transformers expects it ("model_type": "gpt2"). A routed model has weights for live
// heads only, which Transformers' own class cannot hold, so it carries another "model_type" and the routing as
// "kv_routing".
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "skipattn/model/config.h"

namespace skipattn::model {

/// Reads folder/config.json. InputError: absent, not JSON, a model type or an option that is not supported (all named).
ModelConfig read_config_json(const std::filesystem::path& folder);

/// The config as JSON; `config` resolved.
nlohmann::json to_config_json(const ModelConfig& config);

}  // namespace skipattn::model
