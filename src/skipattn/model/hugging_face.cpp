#include "skipattn/model/hugging_face.h"

#include <algorithm>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/json_file.h"
#include "skipattn/model/hugging_face_families.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::model {

namespace {

ConfigFile identify(const nlohmann::json& json, const std::string& source) {
  const auto type = io::json_get_or<std::string>(json, "model_type", source, "");
  ConfigFile file{json, source, type, type.starts_with(kOurTypePrefix)};
  if (file.ours) file.family = type.substr(std::string_view(kOurTypePrefix).size());
  const std::vector<std::string> families = family_names();
  if (std::ranges::find(families, file.family) == families.end())
    throw InputError("'{}': model_type '{}' is not supported; supported are {}, and these with '{}' before them",
                     source, type, join(families, ", "), kOurTypePrefix);
  return file;
}

const char* class_name(const std::string& family) {
  static const std::map<std::string, const char*> names = {{"gpt2", "GPT2LMHeadModel"},
                                                           {"llama", "LlamaForCausalLM"},
                                                           {"mistral", "MistralForCausalLM"},
                                                           {"qwen2", "Qwen2ForCausalLM"},
                                                           {"qwen3", "Qwen3ForCausalLM"}};
  return names.at(family);
}

}  // namespace

int64_t read_end_of_text(const ConfigFile& file) {
  const auto found = file.json.find("eos_token_id");
  if (found == file.json.end() || !found->is_array())
    return io::json_get_or<int64_t>(file.json, "eos_token_id", file.source, -1);
  const auto tokens = io::json_get<std::vector<int64_t>>(file.json, "eos_token_id", file.source);
  return tokens.empty() ? -1 : tokens.front();
}

ModelConfig read_config_json(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  if (!std::filesystem::is_directory(folder)) throw InputError("model '{}': no such folder", folder.string());
  if (!std::filesystem::exists(path))
    throw InputError("model '{}': has no config.json; a model folder holds config.json and model.safetensors",
                     folder.string());
  const nlohmann::json json = io::read_json_file(path);
  const ConfigFile file = identify(json, path.string());
  ModelConfig config = file.family == "gpt2" ? read_gpt2_config(file) : read_llama_config(file);
  config.name = "";
  config.family = file.family;
  config.end_of_text = read_end_of_text(file);
  if (json.contains("kv_routing")) config.routing = routing::routing_text(json["kv_routing"]);
  config.validate("'" + file.source + "': ");
  config.derive();
  return config;
}

bool opens_in_transformers(const ModelConfig& config) {
  return routing::parse_routing(config.routing, config.routing_shape()).is_baseline() &&
         (config.is_llama() ? llama_class_holds(config) : gpt2_class_holds(config));
}

nlohmann::json to_config_json(const ModelConfig& config) {
  nlohmann::json json = config.is_llama() ? write_llama_config(config) : write_gpt2_config(config);
  json["architectures"] = {class_name(config.family)};
  json["model_type"] = (opens_in_transformers(config) ? "" : kOurTypePrefix) + config.family;
  json["kv_routing"] = config.routing;
  json["vocab_size"] = config.vocabulary;
  json["tie_word_embeddings"] = config.tied_head;
  json["initializer_range"] = config.initializer_range;
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
  json["bos_token_id"] = json["eos_token_id"] =
      config.end_of_text >= 0 ? nlohmann::json(config.end_of_text) : nlohmann::json(nullptr);
  return json;
}

}  // namespace skipattn::model
