#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::tokenizer {

const char* PretokenScanner::end_of_contraction(const char* start) const {
  const std::ptrdiff_t left = end_ - start;
  if (left < 2) return nullptr;
  const char first = start[1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return start + 2;
  if (left < 3) return nullptr;
  const char second = start[2];
  const bool pair =
      (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
  return pair ? start + 3 : nullptr;
}

const char* PretokenScanner::end_of_spaces(const char* start, std::size_t first_bytes) const {
  const char* last = start;
  const char* place = start + first_bytes;
  while (place < end_) {
    const Character character = at(place);
    if (character.kind != CharacterClass::kSpace) return last == start ? place : last;
    last = place;
    place += character.bytes;
  }
  return end_;
}

std::size_t safe_cut(std::string_view text, std::size_t position) {
  const CharacterTable& table = CharacterTable::instance();
  for (; position < text.size(); ++position) {
    // Inside a character both sides read as broken bytes, of one class, so there is no cut.
    // A run of one class ends where the class changes, whatever came before it. Not so after white
    // space, whose last character may belong to what follows, nor after an apostrophe, which may
    // begin a contraction.
    const CharacterClass before = table.decode_before(text, position).kind;
    if (before == CharacterClass::kSpace || text[position - 1] == '\'') continue;
    if (table.decode(text.data() + position, text.data() + text.size()).kind != before) return position;
  }
  return text.size();
}

}  // namespace skipattn::tokenizer
