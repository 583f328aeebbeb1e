#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/json_file.h"
#include "skipattn/tokenizer/byte_alphabet.h"
#include "skipattn/tokenizer/vocabulary_files.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// [id] the token as the files write it.
std::vector<std::string> printable_tokens(const Vocabulary& vocabulary) {
  std::vector<std::string> printable;
  printable.reserve(vocabulary.tokens.size());
  for (const std::string& token : vocabulary.tokens) printable.push_back(printable_of_bytes(token));
  for (const AddedToken& token : vocabulary.added) printable[token.id] = token.text;
  return printable;
}

/// In the order of ids, as GPT-2's own file is (a json object would sort them by name).
std::string vocab_json(const std::vector<std::string>& printable) {
  std::string text = "{";
  for (std::size_t id = 0; id < printable.size(); ++id) {
    if (id > 0) text += ", ";
    text += json(printable[id]).dump(-1, ' ', true) + ": " + std::to_string(id);
  }
  return text + "}";
}

std::string merge_line(const Merge& merge, const std::vector<std::string>& printable) {
  return printable[merge.left] + " " + printable[merge.right];
}

std::string merges_text(const Vocabulary& vocabulary, const std::vector<std::string>& printable) {
  std::string text = "#version: 0.2\n";
  for (const Merge& merge : vocabulary.merges) text += merge_line(merge, printable) + "\n";
  return text;
}

json byte_level(bool add_prefix_space, bool trim_offsets) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", trim_offsets},
          {"use_regex", true}};
}

json added_tokens(const Vocabulary& vocabulary) {
  json list = json::array();
  for (const AddedToken& token : vocabulary.added)
    list.push_back({{"id", token.id},
                    {"content", token.text},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", token.special}});
  return list;
}

json tokenizer_json(const Vocabulary& vocabulary, const std::vector<std::string>& printable) {
  json ids = json::object();
  for (std::size_t id = 0; id < printable.size(); ++id) ids[printable[id]] = id;
  json merges = json::array();
  for (const Merge& merge : vocabulary.merges) merges.push_back(merge_line(merge, printable));
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens(vocabulary)},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level(false, true)},
          {"post_processor", byte_level(true, false)},
          {"decoder", byte_level(true, true)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", std::move(ids)},
            {"merges", std::move(merges)}}}};
}

json tokenizer_config(const Vocabulary& vocabulary) {
  // Named in any case: Transformers would add <|endoftext|> to a vocabulary whose file does not say
  // that there is none.
  const json end = vocabulary.added_id(kEndOfText) ? json(kEndOfText) : json();
  return {{"tokenizer_class", "GPT2Tokenizer"},
          {"add_prefix_space", false},
          {"add_bos_token", false},
          {"clean_up_tokenization_spaces", false},
          {"bos_token", end},
          {"eos_token", end},
          {"unk_token", end}};
}

}  // namespace

void write_vocabulary(const Vocabulary& vocabulary, const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw RunError("cannot make the folder '{}': {}", directory.string(), error.message());
  for (const auto& [name, content] : vocabulary.files) io::write_file_atomically(directory / name, content);
  if (!vocabulary.files.empty()) return;
  const std::vector<std::string> printable = printable_tokens(vocabulary);
  io::write_file_atomically(directory / "vocab.json", vocab_json(printable));
  io::write_file_atomically(directory / "merges.txt", merges_text(vocabulary, printable));
  io::write_json_file(directory / "tokenizer_config.json", tokenizer_config(vocabulary));
  io::write_json_file(directory / "tokenizer.json", tokenizer_json(vocabulary, printable));
}

}  // namespace skipattn::tokenizer
