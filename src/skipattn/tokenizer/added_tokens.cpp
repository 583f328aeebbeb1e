#include "skipattn/tokenizer/added_tokens.h"

#include <algorithm>
#include <tuple>

#include "skipattn/tokenizer/pattern/character_class.h"

namespace skipattn::tokenizer {
namespace {

unsigned char first_byte(const AddedToken& token) {
  return static_cast<unsigned char>(token.text.front());
}

std::size_t before_spaces(std::string_view text, std::size_t position) {
  const CharacterTable& table = CharacterTable::instance();
  while (position > 0) {
    const Character character = table.decode_before(text, position);
    if (character.kind != CharacterClass::kSpace) break;
    position -= character.bytes;
  }
  return position;
}

std::size_t after_spaces(std::string_view text, std::size_t position) {
  const CharacterTable& table = CharacterTable::instance();
  while (position < text.size()) {
    const Character character = table.decode(text.data() + position, text.data() + text.size());
    if (character.kind != CharacterClass::kSpace) break;
    position += character.bytes;
  }
  return position;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return std::make_tuple(first_byte(a), b.text.size()) < std::make_tuple(first_byte(b), a.text.size());
  });
  for (const AddedToken& token : tokens_) {
    has_ordinary_ = has_ordinary_ || !token.special;
    ++begin_of_[first_byte(token) + 1u];
  }
  for (std::size_t byte = 0; byte < 256; ++byte) begin_of_[byte + 1] += begin_of_[byte];
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view rest) const {
  const auto byte = static_cast<unsigned char>(rest.front());
  for (uint32_t i = begin_of_[byte]; i < begin_of_[byte + 1u]; ++i)
    if (rest.starts_with(tokens_[i].text)) return &tokens_[i];
  return nullptr;
}

bool AddedTokenMatcher::next(std::string_view text, bool with_special, Match& match) const {
  if (empty(with_special)) return false;
  for (std::size_t place = match.bare_end; place < text.size();) {
    const AddedToken* const token = longest_at(text.substr(place));
    if (!token) {
      ++place;
      continue;
    }
    const std::size_t bare_end = place + token->text.size();
    if (!token->special || with_special) {
      match.begin = token->lstrip ? before_spaces(text, place) : place;
      match.end = token->rstrip ? after_spaces(text, bare_end) : bare_end;
      match.bare_end = bare_end;
      match.id = token->id;
      return true;
    }
    place = bare_end;
  }
  return false;
}

}  // namespace skipattn::tokenizer
