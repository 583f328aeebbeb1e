// The config.json of each family, for hugging_face.cpp: reading one that is known to be of the family, and writing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "skipattn/model/config.h"

namespace skipattn::model {

/// "model_type" of folders that only skipattn reads: this, then the family.
inline constexpr const char* kOurTypePrefix = "skipattn_";

/// A config.json: its keys, where it lies (for errors), and what its "model_type" says.
struct ConfigFile {
  const nlohmann::json& json;
  std::string source;
  std::string family;
  bool ours = false;  ///< "model_type" begins with kOurTypePrefix
};

// Reading gives the config as the file has it, nothing derived or checked as a whole. Throws InputError for a key of the
// wrong kind and for an option that is not supported.
ModelConfig read_gpt2_config(const ConfigFile& file);
ModelConfig read_llama_config(const ConfigFile& file);

// Writing gives the family's keys without "model_type", "architectures" and "kv_routing".
nlohmann::json write_gpt2_config(const ModelConfig& config);
nlohmann::json write_llama_config(const ModelConfig& config);

// Whether Transformers' own class of the family computes a baseline of this config.
bool gpt2_class_holds(const ModelConfig& config);
bool llama_class_holds(const ModelConfig& config);

/// "eos_token_id": a number, the first of a list, or -1.
int64_t read_end_of_text(const ConfigFile& file);

}  // namespace skipattn::model
