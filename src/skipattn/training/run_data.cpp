#include "skipattn/training/run_data.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/model/checkpoint.h"
#include "skipattn/model/hugging_face.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::training {

namespace {

namespace fs = std::filesystem;

/// Keys that a resumed run may change: how long, how often, and on what machine.
bool may_change(const std::string& section, const std::string& key) {
  static const std::vector<std::string> kFree = {"steps",       "tokens",     "eval_every",
                                                 "eval_tokens", "save_every", "keep_last"};
  return section == "run" || (section == "training" && std::ranges::find(kFree, key) != kFree.end());
}

/// "section.key" -> value, as text.
std::map<std::string, std::string> fixed_settings(const RunConfig& config) {
  std::map<std::string, std::string> settings;
  visit_fields(config, [&](const std::string& section, const std::string& key, const auto& field, const char*) {
    if (may_change(section, key)) return;
    settings[fmt::format("{}.{}", section, key)] = fmt::format("{}", field);
  });
  return settings;
}

std::shared_ptr<const data::TokenFiles> open_files(const std::vector<std::string>& patterns, const RunConfig& config) {
  data::TokenFilesOptions options;
  if (config.data.end_of_text >= 0) options.end_of_text = config.data.end_of_text;
  return std::make_shared<const data::TokenFiles>(patterns, options);
}

data::LoaderOptions loader_options(const RunConfig& config, const data::TokenFiles& files) {
  data::LoaderOptions options;
  options.context = config.data.context;
  options.batch_size = config.training.batch_size;
  options.seed = static_cast<uint64_t>(config.training.seed);
  options.order = data::parse_order(config.data.order);
  options.packing = data::parse_packing(config.data.packing);
  options.min_document_tokens = config.data.min_document_tokens;
  options.vocab_size = config.model.vocabulary;
  options.document_mask = config.data.document_mask;
  options.reset_positions = config.data.reset_positions;
  options.document_positions = files.documents_known();
  return options;
}

/// Sets what the data decides and checks what it must agree with.
void take_from_data(RunConfig& config, const data::TokenFiles& files) {
  model::ModelConfig& model = config.model;
  if (model.vocabulary == 0) model.vocabulary = files.vocab_size() > 0 ? files.vocab_size() : 50257;
  if (files.vocab_size() > model.vocabulary)
    throw InputError("[data] {} has a vocabulary of {} tokens; model.vocabulary={} must not be smaller",
                     files.description(), files.vocab_size(), model.vocabulary);
  if (model.end_of_text < 0 && files.end_of_text()) model.end_of_text = *files.end_of_text();
}

/// The tokenizer's vocabulary must be the one the token files were made with.
void check_vocabulary(const fs::path& folder, const data::TokenFiles& files) {
  if (files.vocab_hash() == 0 || tokenizer::Tokenizer::load(folder).hash() == files.vocab_hash()) return;
  throw InputError(
      "[data] the tokenizer in '{}' is not the one that {} was made with; name the right folder as data.tokenizer",
      folder.string(), files.description());
}

/// The folder of the tokenizer: as given, or beside the first training file when there is one.
fs::path find_tokenizer(const RunConfig& config, const data::TokenFiles& files) {
  if (!config.data.tokenizer.empty()) {
    if (!fs::is_directory(config.data.tokenizer))
      throw InputError("[data] tokenizer='{}': no such folder", config.data.tokenizer);
    check_vocabulary(config.data.tokenizer, files);
    return config.data.tokenizer;
  }
  const fs::path beside = files.shards().front()->path().parent_path();
  for (const fs::path& place : {beside / "tokenizer", beside})
    if (fs::exists(place / "vocab.json") || fs::exists(place / "tokenizer.json")) {
      check_vocabulary(place, files);
      return place;
    }
  return {};
}

}  // namespace

RunData open_data(RunConfig& config) {
  RunData data;
  data.train_files = open_files(config.data.train, config);
  take_from_data(config, *data.train_files);
  data.train = std::make_unique<data::Loader>(data.train_files, loader_options(config, *data.train_files));
  data.train->get(0);  // ids outside the vocabulary show here, before anything is written
  data.tokenizer = find_tokenizer(config, *data.train_files);
  if (config.data.val.empty()) return data;
  data.val_files = open_files(config.data.val, config);
  if (data.val_files->vocab_hash() != data.train_files->vocab_hash())
    throw InputError("[data] {} and {} were made with different vocabularies", data.train_files->description(),
                     data.val_files->description());
  data::LoaderOptions options = loader_options(config, *data.val_files);
  options.order = data::Order::kSequential;
  options.batch_size = 1;
  data.val = std::make_unique<data::Loader>(data.val_files, options);
  data.val->get(0);
  data.val_windows = data.val->windows();
  if (config.training.eval_tokens > 0)
    data.val_windows = std::clamp<int64_t>(config.training.eval_tokens / config.data.context, 1, data.val_windows);
  return data;
}

void take_model_of(const fs::path& folder, RunConfig& config) {
  const fs::path place = model::resolve_model_folder(folder);
  RunConfig stored;
  stored.model = model::read_config_json(place);
  FaultList faults;
  std::map<std::string, std::string> have = fixed_settings(stored), want = fixed_settings(config);
  for (const std::string& key : config.given) {
    if (!key.starts_with("model.") || key == "model.name" || key == "model.routing") continue;
    if (want[key] == "0" || want[key] == have[key]) continue;  // 0: derived
    faults.add("{}={}: the model in '{}' has {}", key, want[key], place.string(), have[key]);
  }
  faults.throw_if_any("[init] ");
  const std::string routing = config.given.contains("model.routing") ? config.model.routing : stored.model.routing;
  config.model = stored.model;
  config.model.routing = routing;
}

void check_same_settings(const std::string& checkpoint_toml, const RunConfig& config) {
  const auto before = fixed_settings(parse_run_config(checkpoint_toml, "trainer.json"));
  FaultList faults;
  for (const auto& [key, value] : fixed_settings(config))
    if (const auto old = before.find(key); old != before.end() && old->second != value)
      faults.add("{}: the run was begun with '{}', now it is '{}'", key, old->second, value);
  faults.throw_if_any("[resume] ");
}

}  // namespace skipattn::training
