#include "skipattn/tokenizer/character_class.h"

#include <algorithm>
#include <map>
#include <string>

#include "skipattn/tokenizer/unicode_tables.h"

namespace skipattn::tokenizer {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::size_t kCodePoints = 0x110000;

void fill(std::vector<uint8_t>& classes, const unicode::CodePointRange* ranges, std::size_t count,
          CharacterClass kind) {
  for (std::size_t i = 0; i < count; ++i)
    std::fill(classes.begin() + ranges[i].first, classes.begin() + ranges[i].last + 1, static_cast<uint8_t>(kind));
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

}  // namespace

CharacterTable::CharacterTable() {
  std::vector<uint8_t> classes(kCodePoints, static_cast<uint8_t>(CharacterClass::kOther));
  fill(classes, unicode::kLetters, unicode::kLettersCount, CharacterClass::kLetter);
  fill(classes, unicode::kNumbers, unicode::kNumbersCount, CharacterClass::kNumber);
  fill(classes, unicode::kSpaces, unicode::kSpacesCount, CharacterClass::kSpace);

  std::map<std::string, uint16_t> seen;
  for (std::size_t i = 0; i < block_of_.size(); ++i) {
    const auto first = classes.begin() + i * kBlock;
    const auto [place, is_new] = seen.emplace(std::string(first, first + kBlock), static_cast<uint16_t>(seen.size()));
    if (is_new) blocks_.insert(blocks_.end(), first, first + kBlock);
    block_of_[i] = place->second;
  }
}

const CharacterTable& CharacterTable::instance() {
  static const CharacterTable table;
  return table;
}

Character CharacterTable::decode(const char* text, const char* end) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text);
  const unsigned char lead = bytes[0];
  if (lead < 0x80) return {static_cast<CharacterClass>(kAsciiClass[lead]), 1};
  const Character broken{CharacterClass::kOther, 1};
  const std::ptrdiff_t left = end - text;
  if (lead < 0xC2 || left < 2 || !is_continuation(bytes[1])) return broken;
  if (lead < 0xE0) return {kind((lead & 0x1Fu) << 6 | (bytes[1] & 0x3Fu)), 2};
  if (left < 3 || !is_continuation(bytes[2])) return broken;
  if (lead < 0xF0) {
    const uint32_t code_point = (lead & 0x0Fu) << 12 | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
    if (code_point < 0x800 || (code_point >= 0xD800 && code_point < 0xE000)) return broken;
    return {kind(code_point), 3};
  }
  if (lead > 0xF4 || left < 4 || !is_continuation(bytes[3])) return broken;
  const uint32_t code_point =
      (lead & 0x07u) << 18 | (bytes[1] & 0x3Fu) << 12 | (bytes[2] & 0x3Fu) << 6 | (bytes[3] & 0x3Fu);
  if (code_point < 0x10000 || code_point >= kCodePoints) return broken;
  return {kind(code_point), 4};
}

Character CharacterTable::decode_before(std::string_view text, std::size_t position) const {
  const std::size_t furthest = position > 4 ? position - 4 : 0;
  std::size_t start = position - 1;
  while (start > furthest && is_continuation(static_cast<unsigned char>(text[start]))) --start;
  const Character found = decode(text.data() + start, text.data() + text.size());
  // A continuation byte that no sequence reaches is a broken byte of its own.
  return start + found.bytes == position ? found : Character{CharacterClass::kOther, 1};
}

}  // namespace skipattn::tokenizer
