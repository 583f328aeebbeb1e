#include "skipattn/inference/stop_strings.h"

#include <gtest/gtest.h>

#include "skipattn/core/errors.h"

namespace skipattn::inference {
namespace {

TEST(StopStrings, TheTextEndsBeforeTheFirstHoweverItIsCut) {
  const std::string text = "abcab abd, and more abc";
  for (const auto& [strings, expected] : {std::pair<std::vector<std::string>, std::string>({}, text),
                                          {{"abd"}, "abcab "},
                                          {{"zzz", "abd", "cab"}, "ab"},
                                          {{"abcabx", "d, a"}, "abcab ab"},
                                          {{"more abcd"}, text},
                                          {{"a"}, ""}}) {
    for (size_t step = 1; step <= text.size(); ++step) {
      StopStrings stop(strings);
      std::string passed;
      for (size_t i = 0; i < text.size(); i += step) passed += stop.push(text.substr(i, step));
      passed += stop.finish();
      EXPECT_EQ(passed, expected) << "in pieces of " << step;
      EXPECT_EQ(stop.stopped(), expected != text);
    }
  }
}

TEST(StopStrings, OnlyWhatMayBecomeAStopStringIsHeldBack) {
  StopStrings stop({"END", "\n\n"});
  EXPECT_EQ(stop.push("one\n"), "one");
  EXPECT_EQ(stop.push("two E"), "\ntwo ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("T"), "ENT");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopStrings, AnEmptyOneIsRefused) {
  EXPECT_THROW(StopStrings({"a", ""}), InputError);
}

}  // namespace
}  // namespace skipattn::inference
