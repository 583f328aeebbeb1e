#include "skipattn/tokenizer/pattern/character_class.h"

#include <algorithm>
#include <map>
#include <string>

#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

constexpr std::size_t kBlock = 256;

CharacterClass class_of(unicode::Category category) {
  if (category <= unicode::kLo) return CharacterClass::kLetter;
  const bool number = category >= unicode::kNd && category <= unicode::kNo;
  return number ? CharacterClass::kNumber : CharacterClass::kOther;
}

std::vector<uint8_t> classes_of_all() {
  std::vector<uint8_t> classes(unicode::kCodePoints);
  for (std::size_t i = 0; i < unicode::kCategoryRunsCount; ++i) {
    const unicode::CategoryRun& run = unicode::kCategoryRuns[i];
    const bool last = i + 1 == unicode::kCategoryRunsCount;
    const uint32_t end = last ? unicode::kCodePoints : unicode::kCategoryRuns[i + 1].first;
    std::fill(classes.begin() + run.first, classes.begin() + end, static_cast<uint8_t>(class_of(run.category)));
  }
  for (std::size_t i = 0; i < unicode::kSpacesCount; ++i)
    std::fill(classes.begin() + unicode::kSpaces[i].first, classes.begin() + unicode::kSpaces[i].last + 1,
              static_cast<uint8_t>(CharacterClass::kSpace));
  return classes;
}

bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

}  // namespace

CharacterTable::CharacterTable() {
  const std::vector<uint8_t> classes = classes_of_all();
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
  const CodePoint found = decode_utf8(text, end);
  return {kind(found.value), static_cast<uint8_t>(found.bytes)};
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
