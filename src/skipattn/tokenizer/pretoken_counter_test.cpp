#include "skipattn/tokenizer/pretoken_counter.h"

#include <gmock/gmock.h>

namespace skipattn::tokenizer {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(PretokenCounter, CountsAndSorts) {
  PretokenCounter counter;
  counter.add("b a a");
  counter.add("b");
  EXPECT_THAT(counter.sorted(), ElementsAre(Pair(" a", 2), Pair("b", 2)));
  EXPECT_EQ(counter.bytes(), 6u);
}

TEST(PretokenCounter, MergingIsCountingAll) {
  PretokenCounter one, two, both;
  one.add("x y y");
  two.add("y z");
  both.add("x y y");
  both.add("y z");
  one.merge(two);
  EXPECT_EQ(one.sorted(), both.sorted());
  EXPECT_EQ(one.bytes(), both.bytes());
}

TEST(PretokenCounter, LongPretokensAreCountedInParts) {
  PretokenCounter counter;
  counter.add(std::string(2 * PretokenCounter::kLongest + 3, 'x'));
  EXPECT_THAT(counter.sorted(), ElementsAre(Pair("xxx", 1), Pair(std::string(PretokenCounter::kLongest, 'x'), 2)));
}

TEST(PretokenCounter, ForgetsTheRarestWhenItIsFull) {
  PretokenCounter counter(100);
  std::string text;
  for (int i = 0; i < 40; ++i) text += " often often often";
  counter.add(text);
  for (int i = 0; i < 1000; ++i) {
    std::string word = "q";
    for (int rest = i; rest > 0; rest /= 26) word += static_cast<char>('a' + rest % 26);
    counter.add(word);
    ASSERT_LE(counter.size(), 100u);
  }
  uint64_t often = 0;
  for (const auto& [pretoken, times] : counter.sorted())
    if (pretoken == " often") often = times;
  EXPECT_EQ(often, 120u);
}

}  // namespace
}  // namespace skipattn::tokenizer
