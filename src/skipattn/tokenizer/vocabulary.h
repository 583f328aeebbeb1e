// A BPE vocabulary as plain data: the bytes of every token, the merges in order, the added tokens, and the scheme by
// which text becomes tokens. vocabulary_files.h reads and writes it, train_bpe.h makes one, tokenizer.h encodes with it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/scheme.h"

namespace skipattn::tokenizer {

/// One merge: where `left` stands before `right` they become `result`, whose bytes are theirs
/// together.
struct Merge {
  uint32_t left;
  uint32_t right;
  uint32_t result;
  bool operator==(const Merge&) const = default;
};

/// A token that no merge makes: it stands for itself as a whole, as <|endoftext|> does.
struct AddedToken {
  uint32_t id = 0;
  std::string text;         ///< what is looked for in a prompt and printed when decoded
  bool special = true;      ///< control token, left out where only text is wanted; in data it is text
  bool lstrip = false;      ///< takes the white space before it
  bool rstrip = false;      ///< takes the white space after it
  bool normalized = false;  ///< looked for in the text as the scheme's normalizer leaves it, itself normalized
  bool operator==(const AddedToken&) const = default;
};

/// A character that is a token by itself, and the token.
struct CharacterToken {
  uint32_t code_point;
  uint32_t id;
  bool operator==(const CharacterToken&) const = default;
};

/// The whole vocabulary. Ids are 0..tokens.size()-1.
struct Vocabulary {
  std::vector<std::string> tokens;         ///< [id] bytes; the text of an added token, normalized where it says so
  std::vector<Merge> merges;               ///< rank order: the first is applied before all others
  std::vector<AddedToken> added;           ///< ascending ids
  std::array<uint32_t, 256> byte_ids{};    ///< [byte] id of the token that is this one byte
  std::vector<CharacterToken> characters;  ///< SymbolKind::kCharacters: ascending code points; the space is U+0020
  Scheme scheme;
  std::optional<uint32_t> end_of_text;  ///< ends a document where there is no <|endoftext|>
  /// Name and content of the files it was read from, which are written as they were; empty where write_vocabulary()
  /// can write them itself.
  std::map<std::string, std::string> files;

  bool operator==(const Vocabulary&) const = default;
  /// The id of the added token with this text.
  std::optional<uint32_t> added_id(std::string_view text) const;
  /// XXH3 (64 bits) of tokens, merges, added tokens and the scheme's identity: equal exactly when encoding and decoding
  /// are.
  uint64_t hash() const;
};

/// The name of the token that separates documents.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

}  // namespace skipattn::tokenizer
