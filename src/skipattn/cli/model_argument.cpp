#include "skipattn/cli/model_argument.h"

#include <filesystem>

#include "skipattn/model/checkpoint.h"
#include "skipattn/model/hugging_face.h"
#include "skipattn/model/reroute.h"
#include "skipattn/routing/routing_argument.h"

namespace skipattn::cli {

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("--model", options.model, "a model folder, or a preset (random weights from --seed)")->required();
  command.add_option("--routing", options.routing, "routing to give the model; default: its own");
  command.add_option("--tokenizer", options.tokenizer, "folder with the tokenizer; default: the model's");
}

bool is_model_folder(const std::string& name_or_folder) {
  return name_or_folder.find('/') != std::string::npos || std::filesystem::is_directory(name_or_folder);
}

model::ModelConfig model_config(const std::string& name_or_folder, const std::string& routing) {
  model::ModelConfig config = is_model_folder(name_or_folder)
                                  ? model::read_config_json(model::resolve_model_folder(name_or_folder))
                                  : model::preset(name_or_folder);
  config.resolve();
  if (!routing.empty()) config.routing = routing::read_routing_argument(routing);
  config.validate("[model] ");
  return config;
}

model::Decoder load_or_make_model(const std::string& name_or_folder, const std::string& routing, int64_t seed) {
  if (!is_model_folder(name_or_folder)) {
    model::Decoder decoder(model_config(name_or_folder, routing));
    decoder.initialize(static_cast<uint64_t>(seed));
    return decoder;
  }
  model::Decoder decoder = model::load_model(name_or_folder);
  if (routing.empty()) return decoder;
  return model::reroute(decoder, routing::read_routing_argument(routing)).decoder;
}

std::optional<tokenizer::Tokenizer> find_tokenizer(const std::string& name_or_folder, const std::string& folder) {
  if (!folder.empty()) return tokenizer::Tokenizer::load(folder);
  if (!is_model_folder(name_or_folder)) return std::nullopt;
  const std::filesystem::path beside = model::resolve_model_folder(name_or_folder);
  if (!exists(beside / "tokenizer.json") && !exists(beside / "vocab.json")) return std::nullopt;
  return tokenizer::Tokenizer::load(beside);
}

}  // namespace skipattn::cli
