#include <string_view>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/compressed_stream.h"
#include "skipattn/io/json_file.h"
#include "skipattn/tokenizer/vocabulary_files.h"
#include "skipattn/tokenizer/vocabulary_parts.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void read_ids(const json& object, VocabularyParts& parts) {
  const std::string& file = parts.vocabulary_file;
  if (!object.is_object() || object.empty())
    throw InputError("'{}' must hold a JSON object of tokens and their ids, it holds {}", file,
                     object.is_object() ? "no token" : io::json_kind(object));
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_integer())
      throw InputError("'{}': the id of token \"{}\" must be a whole number, it is {}", file, token, io::json_kind(id));
    parts.ids.emplace(token, id.get<int64_t>());
  }
}

void read_merge(std::string_view line, std::size_t number, VocabularyParts& parts) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos)
    throw InputError("'{}': line {} must be two tokens with one space between, it is \"{}\"", parts.merges_file, number,
                     line);
  parts.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
}

void read_merges_text(std::string_view text, VocabularyParts& parts) {
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    read_merge(line, number, parts);
  }
}

Vocabulary read_vocab_and_merges(const fs::path& directory) {
  VocabularyParts parts;
  parts.vocabulary_file = (directory / "vocab.json").string();
  parts.merges_file = (directory / "merges.txt").string();
  read_ids(io::read_json_file(parts.vocabulary_file), parts);
  read_merges_text(io::read_file(parts.merges_file), parts);
  if (const fs::path file = directory / "added_tokens.json"; fs::exists(file)) {
    const json added = io::read_json_file(file);
    if (!added.is_object()) throw InputError("'{}' must hold a JSON object of tokens and their ids", file.string());
    for (const auto& item : added.items())
      parts.added.push_back({io::json_get<uint32_t>(added, item.key(), file.string()), item.key(), true});
  }
  return assemble_vocabulary(parts);
}

bool given(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null() && *found != "" && *found != false && *found != 0;
}

void check_pre_tokenizer(const json& file, FaultList& faults) {
  const json* step = file.contains("pre_tokenizer") ? &file["pre_tokenizer"] : nullptr;
  if (step && step->is_object() && step->value("type", json()) == "Sequence" &&
      step->value("pretokenizers", json()).is_array() && (*step)["pretokenizers"].size() == 1)
    step = &(*step)["pretokenizers"][0];
  if (!step || !step->is_object() || step->value("type", json()) != "ByteLevel") {
    faults.add("the pre-tokenizer is {}, only ByteLevel is supported",
               step && step->is_object() ? step->value("type", json()).dump() : "absent");
    return;
  }
  if (given(*step, "add_prefix_space"))
    faults.add("the pre-tokenizer's add_prefix_space is true, only false is supported");
  if (step->value("use_regex", json(true)) != true)
    faults.add("the pre-tokenizer's use_regex is false, only GPT-2's own pattern is supported");
}

/// One fault for each thing that would make other ids than GPT-2's scheme does.
void check_scheme(const json& file, const std::string& path) {
  FaultList faults;
  const json& model = file["model"];
  if (model.value("type", json("BPE")) != "BPE")
    faults.add("the model is {}, only BPE is supported", model["type"].dump());
  if (given(file, "normalizer")) faults.add("the text is changed by a normalizer, none is supported");
  check_pre_tokenizer(file, faults);
  for (const char* key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
    if (given(model, key)) faults.add("the model's {} is {}, it must be absent", key, model[key].dump());
  faults.throw_if_any(fmt::format("'{}' is not GPT-2's byte-level BPE: ", path));
}

void read_added(const json& list, VocabularyParts& parts) {
  const std::string& file = parts.vocabulary_file;
  if (!list.is_array()) throw InputError("'{}': \"added_tokens\" must be a list", file);
  for (const json& item : list) {
    AddedToken token{io::json_get<uint32_t>(item, "id", file), io::json_get<std::string>(item, "content", file),
                     io::json_get_or<bool>(item, "special", file, false)};
    if (token.text.empty()) throw InputError("'{}': an added token has no content", file);
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (given(item, key))
        throw InputError("'{}': the added token \"{}\" has {} = true, only false is supported", file, token.text, key);
    parts.added.push_back(std::move(token));
  }
}

void read_merge_list(const json& list, VocabularyParts& parts) {
  for (const json& item : list) {
    if (item.is_string()) {
      read_merge(item.get_ref<const std::string&>(), parts.merges.size() + 1, parts);
    } else if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      parts.merges.emplace_back(item[0].get<std::string>(), item[1].get<std::string>());
    } else {
      throw InputError("'{}': merge {} must be \"a b\" or [\"a\", \"b\"], it is {}", parts.merges_file,
                       parts.merges.size() + 1, io::json_kind(item));
    }
  }
}

Vocabulary read_tokenizer_json(const fs::path& path) {
  VocabularyParts parts;
  parts.vocabulary_file = parts.merges_file = path.string();
  parts.added_is_complete = true;
  const json file = io::read_json_file(path);
  if (!file.is_object() || !file.contains("model") || !file["model"].is_object())
    throw InputError("'{}' must hold a JSON object with a \"model\" object", path.string());
  check_scheme(file, path.string());
  const json& model = file["model"];
  if (!model.contains("vocab") || !model.contains("merges") || !model["merges"].is_array())
    throw InputError("'{}': \"model\" must have \"vocab\" and a list of \"merges\"", path.string());
  read_ids(model["vocab"], parts);
  read_merge_list(model["merges"], parts);
  if (file.contains("added_tokens")) read_added(file["added_tokens"], parts);
  return assemble_vocabulary(parts);
}

}  // namespace

Vocabulary read_vocabulary(const fs::path& directory) {
  if (!fs::is_directory(directory))
    throw InputError("[tokenizer] '{}' is not a folder, a tokenizer is a folder of files", directory.string());
  if (const fs::path file = directory / "tokenizer.json"; fs::exists(file)) return read_tokenizer_json(file);
  const bool has_vocabulary = fs::exists(directory / "vocab.json");
  const bool has_merges = fs::exists(directory / "merges.txt");
  if (has_vocabulary && has_merges) return read_vocab_and_merges(directory);
  if (has_vocabulary || has_merges)
    throw InputError("[tokenizer] '{}' has {} but no {}", directory.string(),
                     has_vocabulary ? "vocab.json" : "merges.txt", has_vocabulary ? "merges.txt" : "vocab.json");
  throw InputError("[tokenizer] '{}' has neither tokenizer.json nor vocab.json with merges.txt", directory.string());
}

}  // namespace skipattn::tokenizer
