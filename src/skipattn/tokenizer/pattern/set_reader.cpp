#include "skipattn/tokenizer/pattern/set_reader.h"

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/unicode/utf8.h"

namespace skipattn::tokenizer {
namespace {

constexpr uint32_t kLongS = 0x17F, kKelvin = 0x212A;  // they fold to s and k; no other fold to an ASCII letter

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Puts the other case of ASCII letters in.
CodePointSet folded(const PatternText& text, const CodePointSet& set) {
  CodePointSet cased = *CodePointSet::property("Lu");
  for (const char* category : {"Ll", "Lt"}) cased.unite(*CodePointSet::property(category));
  CodePointSet ascii;
  ascii.add(0, 0x7F);
  CodePointSet far = cased;
  far.intersect(ascii.complemented());
  if (!set.disjoint(far) && !set.contains_all(far)) text.refuse("a letter that is not ASCII where case is ignored");
  CodePointSet result = set;
  for (uint32_t c = 'a'; c <= 'z'; ++c) {
    const uint32_t upper = c - 32;
    if (!set.contains(c) && !set.contains(upper)) continue;
    result.add(c, c);
    result.add(upper, upper);
    if (c == 's') result.add(kLongS, kLongS);
    if (c == 'k') result.add(kKelvin, kKelvin);
  }
  return result;
}

uint32_t read_hex(PatternText& text, std::size_t least, std::size_t most) {
  std::size_t digits = 0;
  while (digits < most && digits < text.rest().size() && is_hex(text.rest()[digits])) ++digits;
  if (digits < least) text.refuse("a number of too few digits");
  const uint32_t value = static_cast<uint32_t>(std::stoul(std::string(text.rest().substr(0, digits)), nullptr, 16));
  text.skip(text.rest().substr(0, digits));
  if (value >= unicode::kCodePoints) text.refuse("a code point above U+10FFFF");
  return value;
}

CodePointSet read_property(PatternText& text, bool negated) {
  const std::size_t close = text.rest().find('}');
  if (!text.skip("{") || close == std::string_view::npos) text.refuse("\\p without {…}");
  negated = negated != text.skip("^");
  const std::string_view name = text.rest().substr(0, text.rest().find('}'));
  const auto set = CodePointSet::property(name);
  if (!set) text.refuse("a property other than the general categories (L, Lu, …), Han, Hiragana, Katakana and Hangul");
  text.skip(name);
  text.skip("}");
  return negated ? set->complemented() : *set;
}

/// \w; in brackets, Oniguruma's does not have the superscripts and fractions of Latin-1, which it has outside.
CodePointSet word_characters(bool in_brackets) {
  CodePointSet set(unicode::kWordCharacters, unicode::kWordCharactersCount);
  if (!in_brackets) return set;
  CodePointSet latin_numbers = *CodePointSet::property("No");
  CodePointSet latin;
  latin.add(0x80, 0xFF);
  latin_numbers.intersect(latin);
  set.intersect(latin_numbers.complemented());
  return set;
}

/// After the backslash.
SetItem read_escape(PatternText& text, bool in_brackets) {
  if (text.at_end()) text.refuse("a \\ at the end");
  const auto just = [](uint32_t c) {
    SetItem item;
    item.set.add(c, c);
    item.literal = c;
    return item;
  };
  const auto either = [](CodePointSet set, bool negated) { return SetItem{negated ? set.complemented() : set, {}}; };
  const uint32_t c = text.take();
  switch (c) {
    case 'n':
      return just('\n');
    case 'r':
      return just('\r');
    case 't':
      return just('\t');
    case 'f':
      return just('\f');
    case 'v':
      return just('\v');
    case 'a':
      return just('\a');
    case 'e':
      return just(0x1B);
    case 's':
    case 'S':
      return either(CodePointSet(unicode::kSpaces, unicode::kSpacesCount), c == 'S');
    case 'd':
    case 'D':
      return either(*CodePointSet::property("Nd"), c == 'D');
    case 'w':
    case 'W':
      return either(word_characters(in_brackets), c == 'W');
    case 'p':
    case 'P':
      return either(read_property(text, c == 'P'), false);
    case 'u':
      return just(read_hex(text, 4, 4));
    case 'x': {
      if (!text.skip("{")) return just(read_hex(text, 1, 2));
      const uint32_t value = read_hex(text, 1, 8);
      if (!text.skip("}")) text.refuse("\\x{ that nothing closes");
      return just(value);
    }
    default:
      break;
  }
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) text.refuse("an escape of this kind");
  return just(c);
}

/// A literal, an escape or a range inside brackets.
CodePointSet read_range(PatternText& text) {
  const auto one = [&] {
    if (text.skip("\\")) return read_escape(text, /*in_brackets=*/true);
    SetItem item;
    item.literal = text.take();
    item.set.add(*item.literal, *item.literal);
    return item;
  };
  const SetItem first = one();
  const std::string_view rest = text.rest();
  if (!first.literal || rest.size() < 2 || rest[0] != '-' || rest[1] == ']' || rest[1] == '[') return first.set;
  text.skip("-");
  const SetItem last = one();
  if (!last.literal || *last.literal < *first.literal) text.refuse("a range that ends before it begins");
  CodePointSet range;
  range.add(*first.literal, *last.literal);
  return range;
}

}  // namespace

bool PatternText::skip(std::string_view text) {
  if (!rest().starts_with(text)) return false;
  next_ += text.size();
  return true;
}

uint32_t PatternText::take() {
  const CodePoint found = decode_utf8(pattern_.data() + next_, pattern_.data() + pattern_.size());
  if (found.broken()) refuse("a byte that is not UTF-8");
  next_ += found.bytes;
  return found.value;
}

void PatternText::refuse(std::string_view what) const {
  throw InputError("the pattern \"{}\" has {} before its byte {}, which is not supported", pattern_, what, next_ + 1);
}

SetItem read_set_item(PatternText& text, bool ignore_case) {
  SetItem item;
  if (text.skip("\\")) {
    item = read_escape(text, /*in_brackets=*/false);
  } else {
    item.literal = text.take();
    item.set.add(*item.literal, *item.literal);
  }
  if (ignore_case) item.set = folded(text, item.set);
  return item;
}

CodePointSet read_bracket_set(PatternText& text, bool ignore_case) {
  text.skip("[");
  if (text.skip(":")) text.refuse("a [:name:]");
  const bool negated = text.skip("^");
  CodePointSet whole, part;
  bool intersects = false;  // whole && part
  bool first = true;        // where a ] is literal
  for (;; first = false) {
    if (text.at_end()) text.refuse("a [ that nothing closes");
    if (!first && text.skip("]")) break;
    if (text.rest().starts_with("[:")) text.refuse("a [:name:]");
    if (text.peek() == '[') {
      part.unite(read_bracket_set(text, ignore_case));
    } else if (text.skip("&&")) {
      if (intersects) part.intersect(whole);
      whole = std::exchange(part, {});
      intersects = true;
    } else {
      part.unite(read_range(text));
    }
  }
  if (intersects) part.intersect(whole);
  if (ignore_case) part = folded(text, part);
  return negated ? part.complemented() : part;
}

}  // namespace skipattn::tokenizer
