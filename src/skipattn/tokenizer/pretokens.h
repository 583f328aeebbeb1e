// Pre-tokens: the pieces of text inside which byte pairs are merged, as GPT-2's pattern cuts them:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// The pattern is scanned by hand: no backtracking is ever needed, since only the white space rule
// looks ahead, by one character. Every byte of the text is in exactly one pre-token. See
// pattern/character_class.h for text that is not UTF-8.
//
//   PretokenScanner scanner("Hello  world's");
//   for (std::string_view piece; scanner.next(piece);) …   // "Hello", " ", " world", "'s"
#pragma once

#include <cstddef>
#include <string_view>

#include "skipattn/tokenizer/pattern/character_class.h"

namespace skipattn::tokenizer {

/// Walks through the pre-tokens of a text, which must outlive the scanner.
class PretokenScanner {
 public:
  explicit PretokenScanner(std::string_view text)
      : next_(text.data()), end_(text.data() + text.size()), table_(CharacterTable::instance()) {}

  /// Puts the next pre-token into `piece`; false at the end of the text.
  bool next(std::string_view& piece) {
    if (next_ == end_) return false;
    const char* const start = next_;
    next_ = end_of_pretoken(start);
    piece = {start, static_cast<std::size_t>(next_ - start)};
    return true;
  }

 private:
  Character at(const char* place) const {
    const uint8_t kind = kAsciiClass[static_cast<unsigned char>(*place)];
    if (kind != kNotAscii) return {static_cast<CharacterClass>(kind), 1};
    return table_.decode(place, end_);
  }
  const char* end_of_run(const char* place, CharacterClass kind) const {
    while (place < end_) {
      const uint8_t ascii = kAsciiClass[static_cast<unsigned char>(*place)];
      if (ascii == static_cast<uint8_t>(kind)) {
        ++place;
      } else if (ascii != kNotAscii) {
        break;
      } else {
        const Character character = table_.decode(place, end_);
        if (character.kind != kind) break;
        place += character.bytes;
      }
    }
    return place;
  }
  const char* end_of_pretoken(const char* start) const {
    const Character first = at(start);
    if (first.kind != CharacterClass::kSpace) {
      if (*start == '\'')
        if (const char* end = end_of_contraction(start)) return end;
      return end_of_run(start + first.bytes, first.kind);
    }
    if (*start == ' ' && start + 1 < end_) {
      const Character second = at(start + 1);
      if (second.kind != CharacterClass::kSpace) return end_of_run(start + 1 + second.bytes, second.kind);
    }
    return end_of_spaces(start, first.bytes);
  }
  /// The end of 's 't 'm 'd 're 've 'll, or null. `start` is at an apostrophe.
  const char* end_of_contraction(const char* start) const;
  /// White space up to its last character, which belongs to what follows; all of it at the end of
  /// the text.
  const char* end_of_spaces(const char* start, std::size_t first_bytes) const;

  const char* next_;
  const char* end_;
  const CharacterTable& table_;
};

/// The first place at or after `position` (> 0) where cutting the text in two leaves the pre-tokens
/// of both parts together what they are in the whole; text.size() when there is none.
std::size_t safe_cut(std::string_view text, std::size_t position);

}  // namespace skipattn::tokenizer
