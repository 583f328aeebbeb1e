#include "skipattn/tokenizer/unicode/normal_form.h"

#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

std::string nfc(std::string_view text) {
  std::string buffer;
  return std::string(to_nfc(text, buffer));
}

TEST(NormalForm, TextThatIsInItIsNotCopied) {
  std::string buffer;
  const std::string text = "plain, naïve and 日本語 한국어 \xFF\xCC";
  EXPECT_EQ(to_nfc(text, buffer).data(), text.data());
}

TEST(NormalForm, MarksJoinTheirLetter) {
  EXPECT_EQ(nfc("e\u0301"), "é");
  EXPECT_EQ(nfc("Cafe\u0301s and nai\u0308ve"), "Cafés and naïve");
  EXPECT_EQ(nfc("\u01D5"), "\u01D5");  // three levels: U, diaeresis, macron
  EXPECT_EQ(nfc("U\u0308\u0304"), "\u01D5");
  EXPECT_EQ(nfc("U\u0304\u0308"), "\u1E7A");                                  // in the other order, another letter
  EXPECT_EQ(nfc("a\u0315\u0300\u05AE\u0300b"), "\u00E0\u05AE\u0300\u0315b");  // Unicode's own test file
  EXPECT_EQ(nfc("\u1100\u1161\u11A8"), "각");
  EXPECT_EQ(nfc("e\u030D\u0301"), "e\u030D\u0301");  // the first mark stands in the way
  EXPECT_EQ(nfc("\u0301e"), "\u0301e");
}

TEST(NormalForm, SomeAreOnlyTakenApart) {
  EXPECT_EQ(nfc("\u2126"), "\u03A9");        // the ohm sign
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C");  // a composition that is excluded
  EXPECT_EQ(nfc("\U0002F800"), "\u4E3D");
}

TEST(NormalForm, BrokenBytesStayAndPartText) {
  EXPECT_EQ(nfc("\xFF\u0301e\u0301\xCC"), "\xFF\u0301é\xCC");
  EXPECT_EQ(nfc("e\xFF\u0301"), "e\xFF\u0301");
}

}  // namespace
}  // namespace skipattn::tokenizer
