#include "skipattn/tokenizer/pretoken_cache.h"

#include <gtest/gtest.h>

#include <string>

#include "skipattn/core/random.h"

namespace skipattn::tokenizer {
namespace {

TEST(PretokenKey, TellsAllBytesAndLengthsApart) {
  const std::string text = std::string(15, '\0') + "tail so that sixteen bytes can be read";
  const std::string_view view = text;
  const char* const end = view.data() + view.size();
  for (std::size_t a = 1; a <= 15; ++a)
    for (std::size_t b = 1; b <= 15; ++b)
      EXPECT_EQ(make_key<2>(view.substr(0, a), end) == make_key<2>(view.substr(0, b), end), a == b);
}

TEST(PretokenKey, IsTheSameAtTheEndOfATextAndWithin) {
  const std::string text = "abcdefghijklmnopqrstuvwxyz";
  const std::string_view view = text;
  for (std::size_t length = 1; length <= kLongestKey<2>; ++length) {
    const std::string_view piece = view.substr(0, length);
    EXPECT_EQ(make_key<2>(piece, view.data() + view.size()), make_key<2>(piece, view.data() + length)) << length;
  }
  EXPECT_NE(make_key<8>(view.substr(0, 20), view.data() + 20), make_key<8>(view.substr(0, 21), view.data() + 21));
}

TEST(PretokenCache, GivesBackWhatWasPutIn) {
  PretokenCache<2, 3, 4> cache;
  const std::string text = "word";
  const auto key = make_key<2>(text, text.data() + text.size());
  EXPECT_EQ(cache.find(key), nullptr);
  cache.insert(key, std::vector<uint32_t>{7, 8});
  const auto* entry = cache.find(key);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->count, 2u);
  EXPECT_EQ(entry->ids[0], 7u);
  EXPECT_EQ(entry->ids[1], 8u);
}

TEST(PretokenCache, NeverConfusesKeysWhenItIsTooSmall) {
  PretokenCache<2, 1, 2> cache;  // 8 entries for 1000 different keys
  Random random(1);
  std::size_t hits = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto number = static_cast<uint32_t>(i % 3 ? random.below(1000) : 5);  // one comes often
    const std::string text = std::to_string(number);
    const auto key = make_key<2>(text, text.data() + text.size());
    if (const auto* entry = cache.find(key)) {
      ASSERT_EQ(entry->ids[0], number);
      hits += number == 5;
    } else {
      cache.insert(key, std::vector<uint32_t>{number});
    }
  }
  EXPECT_GT(hits, 6000u);  // the one that comes often stays
}

}  // namespace
}  // namespace skipattn::tokenizer
