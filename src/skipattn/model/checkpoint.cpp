#include "skipattn/model/checkpoint.h"

#include <ATen/ATen.h>

#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/json_file.h"
#include "skipattn/model/hugging_face.h"
#include "skipattn/model/tensor_file.h"

namespace skipattn::model {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "transformer.";

/// The published GPT-2 files have no "transformer." before their names.
std::string without_prefix(const std::string& name) {
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

/// Causal masks that old files carry as tensors, and the tied head's second copy.
bool is_ignorable(const std::string& name, const ModelConfig& config) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         (config.tied_head && name == "lm_head.weight");
}

class Loader {
 public:
  Loader(const fs::path& folder, Decoder& decoder) : files_(folder), decoder_(decoder) {}

  void load(const std::string& source) {
    for (const auto& [name, stored] : files_.tensors())
      if (!is_ignorable(name, decoder_.config())) unused_.insert(name);
    const auto& specs = decoder_.table().specs;
    for (size_t i = 0; i < specs.size(); ++i) load_one(static_cast<int>(i), specs[i]);
    for (const std::string& name : unused_) faults_.add("tensor '{}' does not belong to this model", name);
    faults_.throw_if_any("'" + source + "': ");
  }

 private:
  void load_one(int index, const ParameterSpec& spec) {
    std::string name = spec.name;
    const io::StoredTensor* stored = files_.find(name);
    if (stored == nullptr) stored = files_.find(name = without_prefix(spec.name));
    if (stored == nullptr) {
      faults_.add("tensor '{}' is missing", spec.name);
      return;
    }
    unused_.erase(name);
    if (stored->shape != spec.file_shape()) {
      faults_.add("tensor '{}' has shape {}, the config says {}", name, io::shape_text(stored->shape),
                  io::shape_text(spec.file_shape()));
      return;
    }
    at::Tensor value = to_tensor(*stored, name).to(at::kFloat);
    if (spec.transposed_in_file) value = value.t().contiguous();
    decoder_.set_parameter(index, value);
  }

  io::SafetensorsDirectory files_;
  Decoder& decoder_;
  std::set<std::string> unused_;
  FaultList faults_;
};

}  // namespace

fs::path resolve_model_folder(const fs::path& path) {
  if (fs::exists(path / "config.json") || !fs::exists(path / "latest" / "config.json")) return path;
  return path / "latest";
}

Decoder load_model(const fs::path& folder) {
  const fs::path place = resolve_model_folder(folder);
  Decoder decoder(read_config_json(place));
  Loader(place, decoder).load(place.string());
  return decoder;
}

void save_model(const fs::path& folder, const Decoder& decoder, const std::vector<at::Tensor>& values) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto& specs = decoder.table().specs;
  for (size_t i = 0; i < specs.size(); ++i)
    tensors.emplace_back(specs[i].name, specs[i].transposed_in_file ? values.at(i).t() : values.at(i));
  write_tensors(folder / "model.safetensors", tensors);
  io::write_json_file(folder / "config.json", to_config_json(decoder.config()));
}

int copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  int copied = 0;
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "added_tokens.json"}) {
    if (!fs::is_regular_file(from / name)) continue;
    std::error_code error;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, error);
    if (error) throw RunError("'{}': cannot be written: {}", (to / name).string(), error.message());
    ++copied;
  }
  return copied;
}

}  // namespace skipattn::model
