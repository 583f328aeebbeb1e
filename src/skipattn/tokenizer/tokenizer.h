// Byte-level BPE exactly as GPT-2's: the same ids for any UTF-8 text, and decode(encode(bytes)) ==
// bytes for any bytes.
//
//   const Tokenizer tokenizer = Tokenizer::load("gpt2");          // vocab.json + merges.txt, or
//   tokenizer.json const std::vector<uint32_t> ids = tokenizer.encode("Hello world");      // 15496
//   995 tokenizer.decode(ids)                                                   // "Hello world"
//
// How: a hand-written scanner cuts text into pre-tokens (pretokens.h), each is looked up in a cache
// of those seen before (pretoken_cache.h) and merged by rank when it is new (merge_table.h). A
// Tokenizer is immutable, cheap to copy (copies share everything), and may be used by any number of
// threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

class Tokenizer {
 public:
  /// Takes a vocabulary that fits together: one that was read or trained.
  explicit Tokenizer(Vocabulary vocabulary);
  /// Reads a folder (vocabulary_files.h). Throws InputError naming the file and what is wrong with
  /// it.
  static Tokenizer load(const std::filesystem::path& directory);
  /// Writes vocab.json, merges.txt, tokenizer.json and tokenizer_config.json, each atomically.
  void save(const std::filesystem::path& directory) const;

  /// Number of tokens, added ones included; ids are 0..vocab_size()-1.
  int vocab_size() const;
  /// The id of <|endoftext|>, where the vocabulary has it.
  std::optional<int> end_of_text() const;
  /// Names the vocabulary in token files: equal exactly when all ids mean the same.
  uint64_t hash() const;
  const Vocabulary& vocabulary() const;

  /// Appends the ids of `text` to `ids`. The text is data: "<|endoftext|>" in it is encoded as the
  /// characters it is.
  void encode(std::string_view text, std::vector<uint32_t>& ids) const;
  std::vector<uint32_t> encode(std::string_view text) const;
  /// For prompts: the texts of added tokens become their ids (the longest first where one begins
  /// another).
  std::vector<uint32_t> encode_with_special(std::string_view text) const;

  /// The bytes of the tokens, one after another. Throws InputError on an id that is not in the
  /// vocabulary.
  std::string decode(std::span<const uint32_t> ids) const;
  /// The bytes of one token. Throws as decode() does.
  const std::string& token(uint32_t id) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace skipattn::tokenizer
