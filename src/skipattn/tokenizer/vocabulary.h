// A byte-level BPE vocabulary as plain data: the bytes of every token, the merges in order, and the
// added tokens. vocabulary_files.h reads and writes it, train_bpe.h makes one, tokenizer.h encodes
// with it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
  std::string text;     ///< what is looked for in a prompt and printed when decoded
  bool special = true;  ///< control token, left out where only text is wanted
  bool operator==(const AddedToken&) const = default;
};

/// The whole vocabulary. Ids are 0..tokens.size()-1.
struct Vocabulary {
  std::vector<std::string> tokens;       ///< [id] bytes; the text of an added token
  std::vector<Merge> merges;             ///< rank order: the first is applied before all others
  std::vector<AddedToken> added;         ///< ascending ids
  std::array<uint32_t, 256> byte_ids{};  ///< [byte] id of the token that is this one byte

  bool operator==(const Vocabulary&) const = default;
  /// The id of the added token with this text.
  std::optional<uint32_t> added_id(std::string_view text) const;
  /// XXH3 (64 bits) of tokens, merges and added tokens: equal exactly when encoding and decoding
  /// are.
  uint64_t hash() const;
};

/// The name of the token that separates documents.
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

}  // namespace skipattn::tokenizer
