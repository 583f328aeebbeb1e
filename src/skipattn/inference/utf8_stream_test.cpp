#include "skipattn/inference/utf8_stream.h"

#include <gtest/gtest.h>

#include "skipattn/core/random.h"

namespace skipattn::inference {
namespace {

std::string all_at_once(const std::string& bytes) {
  Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text += stream.finish();
}

/// Whole characters only, by decoding and encoding anew; independent of the class under test.
bool is_utf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80   ? 1
                          : first < 0xC0 ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF8 ? 4
                                         : 0;
    if (length == 0 || i + length > text.size()) return false;
    uint32_t point = length == 1 ? first : first & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xC0) != 0x80) return false;
      point = (point << 6) | (byte & 0x3F);
    }
    const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < lowest[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return false;
    i += length;
  }
  return true;
}

TEST(Utf8Stream, HoldsACharacterBackUntilItIsWhole) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.push("\x98"), "");
  EXPECT_EQ(stream.push("\x80"
                        "b"),
            "\xF0\x9F\x98\x80"
            "b");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, TextPassesThroughWhateverTheCuts) {
  const std::string text = "na\xC3\xAFve \xE2\x82\xAC \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80\n";
  for (size_t size = 1; size <= text.size(); ++size) {
    Utf8Stream stream;
    std::string joined;
    for (size_t i = 0; i < text.size(); i += size) {
      const std::string piece = stream.push(text.substr(i, size));
      EXPECT_TRUE(is_utf8(piece));
      joined += piece;
    }
    EXPECT_EQ(joined + stream.finish(), text);
  }
}

// What Python's bytes.decode("utf-8", errors="replace") gives.
TEST(Utf8Stream, InvalidBytesAreReplacedByMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(all_at_once("a\xFF"
                        "b"),
            "a" + r + "b");
  EXPECT_EQ(all_at_once("\x80\xBF"), r + r);
  EXPECT_EQ(all_at_once("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(all_at_once("\xE0\x80\xAF"), r + r + r);          // overlong
  EXPECT_EQ(all_at_once("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(all_at_once("\xF4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(all_at_once("\xF0\x80\x80\x80"), r + r + r + r);  // overlong
  EXPECT_EQ(all_at_once("\xE2\x82!"), r + "!");               // cut short
  EXPECT_EQ(all_at_once("\xF0\x9F\x98\xE2\x82\xAC"), r + "\xE2\x82\xAC");
  EXPECT_EQ(all_at_once("\xE2\x82"), r);  // ended within
  EXPECT_EQ(all_at_once(""), "");
}

TEST(Utf8Stream, AnyBytesInAnyPiecesGiveTheSameValidText) {
  Random random(9);
  // Bytes near every limit, so that beginnings of characters are common.
  const std::string alphabet = "aZ\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xE1\xED\xEF\xF0\xF1\xF4\xF5\xFF";
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (uint64_t i = random.below(12); i > 0; --i) bytes += alphabet[random.below(alphabet.size())];
    const std::string expected = all_at_once(bytes);
    EXPECT_TRUE(is_utf8(expected));
    if (is_utf8(bytes)) {
      EXPECT_EQ(expected, bytes);
    }
    Utf8Stream stream;
    std::string text;
    for (size_t i = 0; i < bytes.size();) {
      const size_t size = 1 + random.below(3);
      const std::string piece = stream.push(bytes.substr(i, size));
      EXPECT_TRUE(is_utf8(piece));
      text += piece;
      i += size;
    }
    EXPECT_EQ(text + stream.finish(), expected);
  }
}

TEST(Utf8Stream, CanBeUsedAgainAfterTheEnd) {
  Utf8Stream stream;
  stream.push("\xE2");
  stream.finish();
  EXPECT_EQ(stream.push("\x82"), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push("ok"), "ok");
}

}  // namespace
}  // namespace skipattn::inference
