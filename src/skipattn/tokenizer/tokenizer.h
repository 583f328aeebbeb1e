// Text to token ids and back, by byte-level BPE (GPT-2's, Llama 3's, Qwen's, …) or SentencePiece's BPE with byte fallback
// (Llama 1 and 2, Mistral): the ids that Hugging Face's `tokenizers` gives for any UTF-8 text. Byte-level vocabularies
// without a normalizer or prefix space also have decode(encode(bytes)) == bytes for any bytes.
//
//   const Tokenizer tokenizer = Tokenizer::load("gpt2");                    // a folder, see vocabulary_files.h
//   const std::vector<uint32_t> ids = tokenizer.encode("Hello world");      // 15496 995
//   tokenizer.decode(ids)                                                   // "Hello world"
//
// How: text is cut into pre-tokens, GPT-2's by a hand-written scanner (pretokens.h), others by their pattern
// (pattern/split_pattern.h) or at spaces (space_pieces.h); each is looked up in a cache of those seen before (pretoken_cache.h)
// and merged by rank when it is new (merge_table.h). A Tokenizer is immutable, cheap to copy (copies share everything),
// and may be used by any number of threads at once.
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
  /// Takes a vocabulary that fits together: one that was read or trained. Throws InputError when a pattern in its scheme
  /// is not supported.
  explicit Tokenizer(Vocabulary vocabulary);
  /// Reads a folder (vocabulary_files.h). Throws InputError naming the file and what is wrong with it.
  static Tokenizer load(const std::filesystem::path& directory);
  /// Writes a folder that load() and AutoTokenizer of Transformers open, each file atomically.
  void save(const std::filesystem::path& directory) const;

  /// Number of tokens, added ones included; ids are 0..vocab_size()-1.
  int vocab_size() const;
  /// The id of the token that ends a document: <|endoftext|>, else what tokenizer_config.json has as eos_token, else
  /// </s> or <|end_of_text|>, where the vocabulary has one.
  std::optional<int> end_of_text() const;
  /// Names the vocabulary in token files: equal exactly when all ids mean the same.
  uint64_t hash() const;
  const Vocabulary& vocabulary() const;

  /// Appends the ids of `text`. The text is data: "<|endoftext|>" in it, or any other special token, is encoded as the
  /// characters it is. `begins`: false for a later part of a document that was cut, which gets no prefix space.
  void encode(std::string_view text, std::vector<uint32_t>& ids, bool begins = true) const;
  std::vector<uint32_t> encode(std::string_view text) const;
  /// For prompts: the texts of added tokens become their ids (the longest first where one begins another).
  /// `add_special_tokens`: puts before and after it what the tokenizer's template does, such as <s> for Llama.
  std::vector<uint32_t> encode_with_special(std::string_view text, bool add_special_tokens = false) const;

  /// The first place at or after `position` (> 0) where cutting a document in two leaves the ids of both parts together
  /// what they are of the whole; text.size() when there is none, or none is known.
  std::size_t safe_cut(std::string_view text, std::size_t position) const;

  /// The text of a whole document: the bytes of the tokens, one after another, without the space that encoding put
  /// before it (in vocabularies that do so). Throws InputError on an id that is not in the vocabulary.
  std::string decode(std::span<const uint32_t> ids) const;
  /// The bytes of one token, wherever it stands: what a text that goes on is continued by. Throws as decode() does.
  const std::string& token(uint32_t id) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace skipattn::tokenizer
