#include "skipattn/model/checkpoint.h"

#include <ATen/ATen.h>

#include <cmath>
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

/// Files of a model without its vocabulary head have no "transformer." or "model." before their names; the published
/// GPT-2 files are such.
std::string without_prefix(const std::string& name) {
  for (const std::string_view prefix : {"transformer.", "model."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

/// Causal masks and frequencies that old files carry as tensors, and the tied head's second copy.
bool is_ignorable(const std::string& name, const ModelConfig& config) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with(".rotary_emb.inv_freq") || (config.tied_head && name == "lm_head.weight");
}

/// The sum is quick to make and not finite when an element is not; a sum that overflows is looked at again.
bool is_finite(const at::Tensor& value) {
  return std::isfinite(value.sum().item<double>()) || at::isfinite(value).all().item<bool>();
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
    throw_first("'" + source + "': ");
  }

 private:
  void load_one(int index, const ParameterSpec& spec) {
    std::vector<at::Tensor> pieces;
    for (const StoredPart& part : spec.stored_parts()) {
      const at::Tensor piece = read(part);
      if (piece.defined()) pieces.push_back(spec.transposed_in_file ? piece.t().contiguous() : piece);
    }
    if (pieces.size() != spec.stored_parts().size()) return;
    if (pieces.empty()) pieces.push_back(at::empty(spec.shape(), at::kFloat));  // no row is live
    decoder_.set_parameter(index, pieces.size() == 1 ? pieces[0] : at::cat(pieces, 0));
  }

  /// The tensor as the file has it, in fp32; undefined after a fault.
  at::Tensor read(const StoredPart& part) {
    std::string name = part.name;
    const io::StoredTensor* stored = files_.find(name);
    if (stored == nullptr) stored = files_.find(name = without_prefix(part.name));
    if (stored == nullptr) {
      faults_.add("tensor '{}' is missing", part.name);
      return {};
    }
    unused_.erase(name);
    if (stored->shape != part.shape) {
      faults_.add("tensor '{}' has shape {}, the config says {}", name, io::shape_text(stored->shape),
                  io::shape_text(part.shape));
      return {};
    }
    const at::Tensor raw = to_tensor(*stored, name);
    if (!raw.is_floating_point()) {
      faults_.add("tensor '{}' has element type {}; supported are F32, BF16, F16 and F64", name,
                  io::dtype_name(stored->dtype));
      return {};
    }
    const at::Tensor value = raw.to(at::kFloat);
    if (!is_finite(value)) faults_.add("tensor '{}' holds NaN or infinite numbers", name);
    return value;
  }

  /// A folder of another model has hundreds of faults; the first ones tell.
  void throw_first(const std::string& prefix) const {
    constexpr size_t kShown = 12;
    if (faults_.faults().size() <= kShown) return faults_.throw_if_any(prefix);
    FaultList shown;
    for (size_t i = 0; i < kShown; ++i) shown.add_text(faults_.faults()[i]);
    shown.add("{} more of its tensors do not fit", faults_.faults().size() - kShown);
    shown.throw_if_any(prefix);
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

void save_model(const fs::path& folder, const Decoder& decoder, const std::vector<at::Tensor>& values,
                const SaveOptions& options) {
  NamedTensors tensors;
  const auto& specs = decoder.table().specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    for (const StoredPart& part : specs[i].stored_parts()) {
      const at::Tensor rows = values.at(i).narrow(0, part.first_row, part.rows).to(options.dtype);
      tensors.emplace_back(part.name, specs[i].transposed_in_file ? rows.t() : rows);
    }
  }
  write_tensor_shards(folder, "model", tensors, options.max_shard_bytes);
  nlohmann::json config = to_config_json(decoder.config());
  config["torch_dtype"] = options.dtype == at::kBFloat16 ? "bfloat16" : "float32";
  io::write_json_file(folder / "config.json", config);
}

int copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  int copied = 0;
  for (const char* name :
       {"vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "tokenizer.model", "chat_template.jinja", "generation_config.json"}) {
    if (!fs::is_regular_file(from / name)) continue;
    std::error_code error;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, error);
    if (error) throw RunError("'{}': cannot be written: {}", (to / name).string(), error.message());
    ++copied;
  }
  return copied;
}

}  // namespace skipattn::model
