#include "skipattn/model/hugging_face_export.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/json_file.h"
#include "skipattn/model/hugging_face.h"

namespace skipattn::embedded {

/// python/hugging_face/*.py: name and content (cmake/SkipattnEmbed.cmake).
std::vector<std::pair<std::string_view, std::string_view>> modeling_files();

}  // namespace skipattn::embedded

namespace skipattn::model {

namespace {

/// What layer `l` projects, and for each of its KV heads the (key layer, slot, value layer, slot) it reads.
nlohmann::json layer_json(const Decoder& decoder, size_t l) {
  const routing::LayerPlan& plan = decoder.plan().layers[l];
  nlohmann::json reads = nlohmann::json::array();
  for (const auto& head : plan.heads) {
    nlohmann::json pairs = nlohmann::json::array();
    for (const routing::SlotPair& pair : head)
      pairs.push_back({pair.key_layer, pair.key_slot, pair.value_layer, pair.value_slot});
    reads.push_back(pairs);
  }
  return {{"live_keys", plan.live_keys.size()},
          {"live_values", plan.live_values.size()},
          {"reads", reads},
          {"window", decoder.layouts()[l].window},
          {"scale", decoder.layouts()[l].softmax_scale}};
}

nlohmann::json sizes_json(const Decoder& decoder) {
  const ModelConfig& config = decoder.config();
  nlohmann::json layers = nlohmann::json::array();
  for (size_t l = 0; l < decoder.plan().layers.size(); ++l) layers.push_back(layer_json(decoder, l));
  nlohmann::json sizes = {{"layers", layers},
                          {"width", config.width},
                          {"heads", config.heads},
                          {"head_width", config.head_width},
                          {"mlp_width", config.mlp_width},
                          {"activation", config.activation},
                          {"norm_epsilon", config.norm_epsilon},
                          {"initializer_range", config.initializer_range}};
  if (config.is_llama()) {
    sizes.update({{"qkv_bias", config.qkv_bias},
                  {"output_bias", config.output_bias},
                  {"mlp_bias", config.mlp_bias},
                  {"query_key_norm", config.query_key_norm},
                  {"rotary_frequencies", rotary_frequencies(config.rotary, config.head_width)}});
  } else {
    sizes.update({{"positions", config.positions}, {"bias", config.bias}});
  }
  return sizes;
}

/// What a routed model's config.json has beyond ours.
nlohmann::json added_keys(const Decoder& decoder) {
  std::string family = decoder.config().family;  // each has its classes in the modelling files: SkipattnGpt2Config, …
  family.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(family.front())));
  const std::string name = "Skipattn" + family;
  return {{"architectures", {name + "ForCausalLM"}},
          {"auto_map",
           {{"AutoConfig", "configuration_skipattn." + name + "Config"},
            {"AutoModelForCausalLM", "modeling_skipattn." + name + "ForCausalLM"}}},
          {"skipattn", sizes_json(decoder)}};
}

}  // namespace

void save_for_transformers(const std::filesystem::path& folder, const Decoder& decoder,
                           const std::vector<at::Tensor>& values, const SaveOptions& options) {
  if (decoder.plan().cache_slots() == 0)
    throw InputError("routing {}: a model in which no head attends to anything cannot be exported",
                     decoder.routing().text);
  save_model(folder, decoder, values, options);
  if (opens_in_transformers(decoder.config())) return;
  nlohmann::json config = io::read_json_file(folder / "config.json");
  config.update(added_keys(decoder));
  io::write_json_file(folder / "config.json", config);
  for (const auto& [name, content] : embedded::modeling_files()) io::write_file_atomically(folder / name, content);
}

}  // namespace skipattn::model
