// A short cut past the search for patterns that are known. Those of Llama 3, Qwen, GPT-4, GPT-4o and Mistral differ in
// numbers, signs, contractions and how capitals are cut, but all agree on plain words, most of any text: a space or none,
// a capital or none, lower-case letters, and then something in ASCII that is no letter and no apostrophe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace skipattn::tokenizer {

/// True for patterns of which plain_word() may find matches. Their pieces also always end between a letter and a space
/// that a letter follows, whatever stands around.
bool takes_plain_words(const std::string& pattern);

/// The length of the plain word, with the space before it, that begins where a match ended; 0 when there is none.
inline std::size_t plain_word(const char* text, const char* end) {
  enum Kind : uint8_t { kLower, kUpper, kStop, kUnknown };
  static constexpr std::array<uint8_t, 256> kKinds = [] {
    std::array<uint8_t, 256> kinds{};
    for (int c = 0; c < 256; ++c) {
      kinds[c] = c < 128 && c != '\'' ? kStop : kUnknown;
      if (c >= 'a' && c <= 'z') kinds[c] = kLower;
      if (c >= 'A' && c <= 'Z') kinds[c] = kUpper;
    }
    return kinds;
  }();
  const auto kind = [&](const char* place) { return kKinds[static_cast<unsigned char>(*place)]; };
  const char* place = text + (*text == ' ');
  if (place == end || kind(place) > kUpper) return 0;
  do {
    ++place;
  } while (place < end && kind(place) == kLower);
  return place < end && kind(place) == kStop ? static_cast<std::size_t>(place - text) : 0;
}

}  // namespace skipattn::tokenizer
