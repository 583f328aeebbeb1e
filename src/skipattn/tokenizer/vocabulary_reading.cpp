#include <algorithm>
#include <string_view>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"
#include "skipattn/io/compressed_stream.h"
#include "skipattn/io/json_file.h"
#include "skipattn/tokenizer/scheme_reading.h"
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

/// An added token as the file has it.
AddedToken read_added_token(const json& item, const std::string& file) {
  AddedToken token{io::json_get<uint32_t>(item, "id", file), io::json_get<std::string>(item, "content", file),
                   io::json_get_or<bool>(item, "special", file, false)};
  token.lstrip = io::json_get_or<bool>(item, "lstrip", file, false);
  token.rstrip = io::json_get_or<bool>(item, "rstrip", file, false);
  token.normalized = io::json_get_or<bool>(item, "normalized", file, !token.special);
  if (token.text.empty()) throw InputError("'{}': an added token has no content", file);
  if (given(item, "single_word"))
    throw InputError("'{}': the added token \"{}\" has single_word = true, only false is supported", file, token.text);
  return token;
}

void read_added(const json& file, VocabularyParts& parts) {
  if (!file.contains("added_tokens")) return;
  const json& list = file["added_tokens"];
  if (!list.is_array()) throw InputError("'{}': \"added_tokens\" must be a list", parts.vocabulary_file);
  for (const json& item : list) parts.added.push_back(read_added_token(item, parts.vocabulary_file));
  // Without a normalizer `normalized` says only in which of two rounds a token is looked for: nothing, where all are in
  // one.
  const bool all = std::all_of(parts.added.begin(), parts.added.end(), [](const auto& t) { return t.normalized; });
  if (all && !given(file, "normalizer"))
    for (AddedToken& token : parts.added) token.normalized = false;
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

void check_template(const Vocabulary& vocabulary, const std::string& path) {
  for (const auto* ids : {&vocabulary.scheme.before, &vocabulary.scheme.after})
    for (const uint32_t id : *ids)
      if (id >= vocabulary.tokens.size())
        throw InputError("'{}': the post-processor's template has the id {}, the ids of the vocabulary are 0..{}", path,
                         id, vocabulary.tokens.size() - 1);
}

/// The scheme, with one fault for each thing in the file that is not supported.
void read_scheme_of(const json& file, VocabularyParts& parts) {
  FaultList faults;
  parts.scheme = read_scheme(file, faults);
  read_template(file, parts.scheme, faults);
  parts.scheme.identity = scheme_identity(file, parts.scheme, parts.added);
  faults.throw_if_any(fmt::format("'{}' is not a tokenizer of a supported kind: ", parts.vocabulary_file));
}

Vocabulary read_tokenizer_json(const fs::path& path) {
  VocabularyParts parts;
  parts.vocabulary_file = parts.merges_file = path.string();
  parts.added_is_complete = true;
  const std::string text = io::read_file(path);
  const json file = io::parse_json(text, path.string());
  if (!file.is_object() || !file.contains("model") || !file["model"].is_object())
    throw InputError("'{}' must hold a JSON object with a \"model\" object", path.string());
  read_added(file, parts);
  read_scheme_of(file, parts);
  const json& model = file["model"];
  if (!model.contains("vocab") || !model.contains("merges") || !model["merges"].is_array())
    throw InputError("'{}': \"model\" must have \"vocab\" and a list of \"merges\"", path.string());
  read_ids(model["vocab"], parts);
  read_merge_list(model["merges"], parts);
  Vocabulary vocabulary = assemble_vocabulary(parts);
  check_template(vocabulary, path.string());
  if (!parts.scheme.identity.empty() || !parts.scheme.before.empty() || !parts.scheme.after.empty())
    vocabulary.files.emplace("tokenizer.json", text);
  return vocabulary;
}

/// The token that ends a document, as tokenizer_config.json names it or as it is usually called.
std::optional<uint32_t> find_end_of_text(const fs::path& config, const Vocabulary& vocabulary) {
  if (fs::exists(config)) {
    const json file = io::read_json_file(config);
    const json* token = file.is_object() && file.contains("eos_token") ? &file["eos_token"] : nullptr;
    if (token && token->is_object() && token->contains("content")) token = &(*token)["content"];
    if (token && token->is_string())
      if (const auto id = vocabulary.added_id(token->get_ref<const std::string&>())) return id;
  }
  for (const char* usual : {"</s>", "<|end_of_text|>"})
    if (const auto id = vocabulary.added_id(usual)) return id;
  return std::nullopt;
}

Vocabulary read_tokenizer_folder(const fs::path& directory) {
  Vocabulary vocabulary = read_tokenizer_json(directory / "tokenizer.json");
  if (!vocabulary.added_id(kEndOfText))
    vocabulary.end_of_text = find_end_of_text(directory / "tokenizer_config.json", vocabulary);
  if (!vocabulary.files.empty())
    for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"})
      if (fs::exists(directory / name)) vocabulary.files.emplace(name, io::read_file(directory / name));
  return vocabulary;
}

}  // namespace

Vocabulary read_vocabulary(const fs::path& directory) {
  if (!fs::is_directory(directory))
    throw InputError("[tokenizer] '{}' is not a folder, a tokenizer is a folder of files", directory.string());
  if (fs::exists(directory / "tokenizer.json")) return read_tokenizer_folder(directory);
  const bool has_vocabulary = fs::exists(directory / "vocab.json");
  const bool has_merges = fs::exists(directory / "merges.txt");
  if (has_vocabulary && has_merges) return read_vocab_and_merges(directory);
  if (has_vocabulary || has_merges)
    throw InputError("[tokenizer] '{}' has {} but no {}", directory.string(),
                     has_vocabulary ? "vocab.json" : "merges.txt", has_vocabulary ? "merges.txt" : "vocab.json");
  throw InputError("[tokenizer] '{}' has neither tokenizer.json nor vocab.json with merges.txt", directory.string());
}

}  // namespace skipattn::tokenizer
