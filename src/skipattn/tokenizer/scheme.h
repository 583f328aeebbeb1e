// How a vocabulary is applied to text, as plain data: what is done before merging, and what the symbols are that merge.
// GPT-2's scheme is the default. scheme_reading.h reads one out of a tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace skipattn::tokenizer {

/// What merging starts from.
enum class SymbolKind : uint8_t {
  kBytes,       ///< byte-level BPE: each byte is a token
  kCharacters,  ///< SentencePiece's: a character is a token, or else its bytes are; a space is part of what follows it
};

/// When a space is put before a text. "Text" is what lies between two added tokens.
enum class PrefixSpace : uint8_t {
  kNever,
  kAlways,            ///< also where one is there already (the normalizer Prepend)
  kUnlessThere,       ///< where the text does not begin with one
  kFirstUnlessThere,  ///< the same, but only at the very beginning of a document
};

/// One cut of text into pieces, which the next step cuts further.
struct SplitStep {
  /// What is searched for (pattern/pattern_reader.h); empty: GPT-2's pattern, which has a scanner of its own (pretokens.h).
  std::string pattern = {};
  bool drop_matches = false;  ///< what matches is no piece
  bool drop_gaps = false;     ///< what lies between matches is no piece
  bool operator==(const SplitStep&) const = default;
};

/// Where a long text may be cut in two without changing its ids.
enum class CutRule : uint8_t {
  kGpt2,     ///< where a run of letters, digits or signs ends (safe_cut() in pretokens.h)
  kWord,     ///< between a letter and a space with a letter after it
  kNowhere,  ///< it is not known where
};

/// What decoding leaves out at the beginning of a whole text.
enum class DropPrefix : uint8_t {
  kNothing,
  kOneSpace,          ///< the decoder Strip
  kFirstTokensSpaces  ///< all spaces of the first token (the decoder Metaspace)
};

struct Scheme {
  SymbolKind symbols = SymbolKind::kBytes;
  bool nfc = false;  ///< put into normal form C first
  PrefixSpace prefix = PrefixSpace::kNever;
  std::vector<SplitStep> steps = {SplitStep{}};  ///< in this order
  bool split_at_every_space = false;             ///< kCharacters: also inside a run of spaces
  bool ignore_merges = false;                    ///< a piece that is a token as a whole is not merged up to it
  DropPrefix drop_prefix = DropPrefix::kNothing;
  CutRule cut = CutRule::kGpt2;
  std::vector<uint32_t> before = {};  ///< ids put before a prompt when asked for, such as <s>
  std::vector<uint32_t> after = {};   ///< ids put after it
  /// The settings in a canonical spelling, which the hash of a vocabulary covers; empty for GPT-2's.
  std::string identity = {};

  bool operator==(const Scheme&) const = default;
};

}  // namespace skipattn::tokenizer
