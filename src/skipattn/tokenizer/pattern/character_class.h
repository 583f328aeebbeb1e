// Characters of UTF-8 text and the four classes GPT-2's split pattern tells apart.
//
// Text is data, not a promise: any bytes may come. A byte that is not part of a well-formed UTF-8
// sequence (overlong forms, surrogates and values above U+10FFFF are not well-formed) is a
// character of its own of class kOther. That is the class of U+FFFD, so broken text splits exactly
// where it would with each broken byte replaced by U+FFFD.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace skipattn::tokenizer {

/// What the split pattern sees in a character.
enum class CharacterClass : uint8_t {
  kOther,   ///< [^\s\p{L}\p{N}], and every byte that is not UTF-8
  kLetter,  ///< \p{L}
  kNumber,  ///< \p{N}
  kSpace,   ///< \s (the property White_Space)
};

/// One character: its class and how many bytes it takes (1..4).
struct Character {
  CharacterClass kind;
  uint8_t bytes;
};

/// Class of every code point, as blocks of 256 of which equal ones are stored once (about 50 KB).
class CharacterTable {
 public:
  /// The one table, built on first use; thread-safe.
  static const CharacterTable& instance();

  CharacterClass kind(uint32_t code_point) const {
    return static_cast<CharacterClass>(blocks_[block_of_[code_point >> 8] * 256u + (code_point & 255u)]);
  }
  /// The character that starts at `text` (text < end).
  Character decode(const char* text, const char* end) const;
  /// The character that ends at `position`; 0 < position <= text.size(), and a character ends
  /// there.
  Character decode_before(std::string_view text, std::size_t position) const;

 private:
  CharacterTable();

  std::array<uint16_t, 0x1100> block_of_{};  // [code point / 256] -> block
  std::vector<uint8_t> blocks_;              // [block, 256] classes
};

/// Marks the bytes of kAsciiClass that start something longer than one ASCII character.
inline constexpr uint8_t kNotAscii = 255;

/// The class of each ASCII byte, as a number; kNotAscii for the rest.
inline constexpr std::array<uint8_t, 256> kAsciiClass = [] {
  std::array<uint8_t, 256> table{};
  for (int c = 0; c < 256; ++c) {
    CharacterClass kind = CharacterClass::kOther;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) kind = CharacterClass::kLetter;
    if (c >= '0' && c <= '9') kind = CharacterClass::kNumber;
    if (c == ' ' || (c >= '\t' && c <= '\r')) kind = CharacterClass::kSpace;
    table[c] = c < 128 ? static_cast<uint8_t>(kind) : kNotAscii;
  }
  return table;
}();

}  // namespace skipattn::tokenizer
