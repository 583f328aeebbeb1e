#include "skipattn/tokenizer/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace skipattn::tokenizer {
namespace {

TEST(ByteAlphabet, WritesBytesAsGpt2Does) {
  EXPECT_EQ(printable_of_bytes(" the\n"), "ĠtheĊ");
  EXPECT_EQ(printable_of_bytes(std::string("\0\x7F\xA0\xAD\xFF", 5)), "ĀġłŃÿ");
  EXPECT_EQ(printable_of_bytes("é"), "Ã©");
}

TEST(ByteAlphabet, EveryByteComesBack) {
  std::set<std::string> seen;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    EXPECT_EQ(bytes_of_printable(printable_of_bytes(bytes)), bytes);
    seen.insert(printable_of_bytes(bytes));
  }
  EXPECT_EQ(seen.size(), 256u);
}

TEST(ByteAlphabet, KnowsWhatIsNoByte) {
  for (const char* text : {" ", "\n", "日", "a\xC4", "\xC4\x28", "\xC8\x80", "\x80", "\xC2\x80", "ń"})
    EXPECT_EQ(bytes_of_printable(text), std::nullopt) << text;
  EXPECT_EQ(bytes_of_printable(""), "");
}

TEST(ByteAlphabet, OrderIsThatOfGpt2sFirstIds) {
  const std::string& order = bytes_in_alphabet_order();
  ASSERT_EQ(order.size(), 256u);
  EXPECT_EQ(order.substr(0, 3), "!\"#");
  EXPECT_EQ(order.substr(93, 2), "~\xA1");
  EXPECT_EQ(static_cast<int>(order[188]), 0);
  EXPECT_EQ(order[220], ' ');
}

}  // namespace
}  // namespace skipattn::tokenizer
