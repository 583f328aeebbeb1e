#include "skipattn/inference/utf8_stream.h"

namespace skipattn::inference {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of the character that begins with `first`; 0 when none does (Unicode 15, table 3-7).
size_t character_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 0;
}

/// True when `byte` may stand at `place` (1, 2, 3) of a character that begins with `first`. The second byte rules out
/// overlong forms, surrogates and what lies beyond U+10FFFF.
bool may_continue(unsigned char first, size_t place, unsigned char byte) {
  unsigned char lowest = 0x80, highest = 0xBF;
  if (place == 1) {
    if (first == 0xE0) lowest = 0xA0;
    if (first == 0xED) highest = 0x9F;
    if (first == 0xF0) lowest = 0x90;
    if (first == 0xF4) highest = 0x8F;
  }
  return byte >= lowest && byte <= highest;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + pending_.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!pending_.empty()) {
      const auto first = static_cast<unsigned char>(pending_[0]);
      if (may_continue(first, pending_.size(), byte)) {
        pending_ += c;
        if (pending_.size() == character_length(first)) {
          text += pending_;
          pending_.clear();
        }
        continue;
      }
      text += kReplacement;
      pending_.clear();
    }
    const size_t length = character_length(byte);
    if (length == 1) {
      text += c;
    } else if (length == 0) {
      text += kReplacement;
    } else {
      pending_ = c;
    }
  }
  return text;
}

std::string Utf8Stream::finish() {
  const bool cut = !pending_.empty();
  pending_.clear();
  return cut ? std::string(kReplacement) : std::string();
}

}  // namespace skipattn::inference
