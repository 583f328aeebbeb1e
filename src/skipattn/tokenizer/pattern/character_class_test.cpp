#include "skipattn/tokenizer/pattern/character_class.h"

#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

Character decode(const std::string& text) {
  return CharacterTable::instance().decode(text.data(), text.data() + text.size());
}

TEST(CharacterTable, KnowsTheClasses) {
  for (const char* letter : {"a", "Z", "é", "ß", "日", "ʰ", "\u1C89", "𐐀"})
    EXPECT_EQ(decode(letter).kind, CharacterClass::kLetter) << letter;
  for (const char* number : {"0", "9", "²", "½", "Ⅷ", "٣", "𐵀"})
    EXPECT_EQ(decode(number).kind, CharacterClass::kNumber) << number;
  for (const char* space : {" ", "\t", "\v", "\r", "\u0085", "\u00A0", "\u2003", "\u2028", "\u3000"})
    EXPECT_EQ(decode(space).kind, CharacterClass::kSpace) << space;
  // Combining marks are no letters, separators of ASCII and the zero-width space are no white
  // space.
  for (const char* other : {"!", "_", "\u0301", "\u001C", "\u200B", "\u180E", "\uFEFF", "😁", "\uFFFD"})
    EXPECT_EQ(decode(other).kind, CharacterClass::kOther) << other;
}

TEST(CharacterTable, IsOfUnicode16) {
  const CharacterTable& table = CharacterTable::instance();
  EXPECT_EQ(table.kind(0x1C89), CharacterClass::kLetter);  // new in 16
  EXPECT_EQ(table.kind(0xA7CE), CharacterClass::kOther);   // new in 17
  std::size_t counts[4] = {};
  for (uint32_t c = 0; c < 0x110000; ++c)
    if (c < 0xD800 || c >= 0xE000) ++counts[static_cast<int>(table.kind(c))];
  EXPECT_EQ(counts[static_cast<int>(CharacterClass::kLetter)], 141028u);
  EXPECT_EQ(counts[static_cast<int>(CharacterClass::kNumber)], 1911u);
  EXPECT_EQ(counts[static_cast<int>(CharacterClass::kSpace)], 25u);
}

TEST(CharacterTable, DecodesEveryCodePointFromBothEnds) {
  const CharacterTable& table = CharacterTable::instance();
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = "x" + test::utf8(c) + "y";
    const Character forward = table.decode(text.data() + 1, text.data() + text.size());
    const Character backward = table.decode_before(text, text.size() - 1);
    ASSERT_EQ(forward.kind, table.kind(c)) << c;
    ASSERT_EQ(forward.bytes, text.size() - 2) << c;
    ASSERT_EQ(backward.kind, table.kind(c)) << c;
    ASSERT_EQ(backward.bytes, text.size() - 2) << c;
  }
}

TEST(CharacterTable, BrokenBytesAreCharactersOfTheirOwn) {
  for (const char* broken :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE6\x97", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    EXPECT_EQ(decode(broken).bytes, 1) << broken;
    EXPECT_EQ(decode(broken).kind, CharacterClass::kOther) << broken;
  }
  // Cut off by the end of the text, though the next byte in memory would complete it.
  const std::string text = "\xC3\xA9";
  EXPECT_EQ(CharacterTable::instance().decode(text.data(), text.data() + 1).bytes, 1);
  // A continuation byte too many after a whole character.
  EXPECT_EQ(CharacterTable::instance().decode_before("\xC3\xA9\x80", 3).kind, CharacterClass::kOther);
}

}  // namespace
}  // namespace skipattn::tokenizer
