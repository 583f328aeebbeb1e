// Reading and writing single code points of UTF-8. Text is data, not a promise: a byte that is not part of a
// well-formed sequence (overlong forms, surrogates and values above U+10FFFF are not) reads as one U+FFFD of one byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "skipattn/tokenizer/unicode/tables.h"

namespace skipattn::tokenizer {

/// A code point and how many bytes it takes (1..4). A broken byte: U+FFFD, 1 byte.
struct CodePoint {
  uint32_t value;
  uint32_t bytes;
  /// U+FFFD written out takes 3 bytes.
  bool broken() const { return value == unicode::kReplacement && bytes == 1; }
};

/// The code point that starts at `text` (text < end).
inline CodePoint decode_utf8(const char* text, const char* end) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text);
  const auto continues = [&](int i) { return (bytes[i] & 0xC0) == 0x80; };
  constexpr CodePoint kBroken{unicode::kReplacement, 1};
  const uint32_t lead = bytes[0];
  if (lead < 0x80) return {lead, 1};
  const std::ptrdiff_t left = end - text;
  if (lead < 0xC2 || left < 2 || !continues(1)) return kBroken;
  if (lead < 0xE0) return {(lead & 0x1Fu) << 6 | (bytes[1] & 0x3Fu), 2};
  if (left < 3 || !continues(2)) return kBroken;
  if (lead < 0xF0) {
    const uint32_t value = (lead & 0x0Fu) << 12 | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
    if (value < 0x800 || (value >= 0xD800 && value < 0xE000)) return kBroken;
    return {value, 3};
  }
  if (lead > 0xF4 || left < 4 || !continues(3)) return kBroken;
  const uint32_t value = (lead & 0x07u) << 18 | (bytes[1] & 0x3Fu) << 12 | (bytes[2] & 0x3Fu) << 6 | (bytes[3] & 0x3Fu);
  if (value < 0x10000 || value >= unicode::kCodePoints) return kBroken;
  return {value, 4};
}

/// Appends a code point (not a surrogate).
inline void append_utf8(std::string& text, uint32_t value) {
  const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (value < 0x80) return put(value);
  if (value < 0x800) {
    put(0xC0 | value >> 6);
  } else {
    if (value < 0x10000) {
      put(0xE0 | value >> 12);
    } else {
      put(0xF0 | value >> 18);
      put(0x80 | (value >> 12 & 0x3F));
    }
    put(0x80 | (value >> 6 & 0x3F));
  }
  put(0x80 | (value & 0x3F));
}

}  // namespace skipattn::tokenizer
