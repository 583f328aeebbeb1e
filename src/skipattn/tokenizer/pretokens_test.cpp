#include "skipattn/tokenizer/pretokens.h"

#include <gmock/gmock.h>

#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

using test::pretokens;
using ::testing::ElementsAre;

TEST(Pretokens, WordsNumbersAndSigns) {
  EXPECT_THAT(pretokens("Hello world"), ElementsAre("Hello", " world"));
  EXPECT_THAT(pretokens("x1.5=y!?"), ElementsAre("x", "1", ".", "5", "=", "y", "!?"));
  EXPECT_THAT(pretokens(" 12 ½ ..."), ElementsAre(" 12", " ½", " ..."));
  EXPECT_THAT(pretokens("naïve日本語"), ElementsAre("naïve日本語"));
  EXPECT_THAT(pretokens(""), ElementsAre());
}

TEST(Pretokens, Contractions) {
  EXPECT_THAT(pretokens("it's I'll we're I've don't I'm he'd"),
              ElementsAre("it", "'s", " I", "'ll", " we", "'re", " I", "'ve", " don", "'t", " I", "'m", " he", "'d"));
  EXPECT_THAT(pretokens("'sat 'sat"), ElementsAre("'s", "at", " '", "sat"));
  EXPECT_THAT(pretokens("''s I'LL 'l 'v '"), ElementsAre("''", "s", " I", "'", "LL", " '", "l", " '", "v", " '"));
  EXPECT_THAT(pretokens("a'r"), ElementsAre("a", "'", "r"));
}

TEST(Pretokens, WhiteSpaceLeavesItsLastCharacterToTheNextWord) {
  EXPECT_THAT(pretokens("a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(pretokens("a\n\nb"), ElementsAre("a", "\n", "\n", "b"));
  EXPECT_THAT(pretokens("a \tb"), ElementsAre("a", " ", "\t", "b"));
  EXPECT_THAT(pretokens("a\t b"), ElementsAre("a", "\t", " b"));
  EXPECT_THAT(pretokens("a  "), ElementsAre("a", "  "));
  EXPECT_THAT(pretokens(" "), ElementsAre(" "));
  EXPECT_THAT(pretokens("a\u00A0\u00A0b"), ElementsAre("a", "\u00A0", "\u00A0", "b"));
  EXPECT_THAT(pretokens("\u3000 b"), ElementsAre("\u3000", " b"));
}

TEST(Pretokens, TogetherTheyAreTheText) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = i % 2 ? test::random_text(random, 20) : test::random_bytes(random, 40);
    std::string together;
    for (const std::string& piece : pretokens(text)) together += piece;
    ASSERT_EQ(together, text);
  }
}

TEST(Pretokens, BrokenBytesSplitAsReplacementCharactersDo) {
  Random random(2);
  const CharacterTable& table = CharacterTable::instance();
  for (int i = 0; i < 2000; ++i) {
    const std::string text = test::random_text(random, 20);
    std::vector<std::string> expected = pretokens(text);
    for (std::string& piece : expected) {
      std::string replaced;
      for (std::size_t place = 0; place < piece.size();) {
        const Character character = table.decode(&piece[place], piece.data() + piece.size());
        const bool broken = character.bytes == 1 && static_cast<unsigned char>(piece[place]) >= 0x80;
        replaced += broken ? "\uFFFD" : piece.substr(place, character.bytes);
        place += character.bytes;
      }
      piece = replaced;
    }
    std::string whole;
    for (const std::string& piece : expected) whole += piece;
    ASSERT_EQ(pretokens(whole), expected);
  }
}

TEST(SafeCut, ChangesNothing) {
  Random random(3);
  std::size_t cuts = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = i % 4 ? test::random_text(random, 12) : test::random_bytes(random, 24);
    const std::vector<std::string> whole = pretokens(text);
    for (std::size_t position = 1; position <= text.size(); ++position) {
      const std::size_t cut = safe_cut(text, position);
      ASSERT_GE(cut, position);
      std::vector<std::string> parts = pretokens(std::string_view(text).substr(0, cut));
      for (const std::string& piece : pretokens(std::string_view(text).substr(cut))) parts.push_back(piece);
      ASSERT_EQ(parts, whole) << "cut at " << cut << " of \"" << text << '"';
      cuts += cut < text.size();
    }
  }
  EXPECT_GT(cuts, 30000u);
}

TEST(SafeCut, FindsThePlacesThereAre) {
  EXPECT_EQ(safe_cut("one two", 1), 3u);
  EXPECT_EQ(safe_cut("one two", 4), 7u);  // not after the space, it belongs to "two"
  EXPECT_EQ(safe_cut("日本。\nx", 1), 6u);
  EXPECT_EQ(safe_cut("aaaa", 1), 4u);
}

}  // namespace
}  // namespace skipattn::tokenizer
