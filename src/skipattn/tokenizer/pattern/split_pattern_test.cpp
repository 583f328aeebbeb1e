#include "skipattn/tokenizer/pattern/split_pattern.h"

#include "skipattn/tokenizer/pattern/plain_words.h"
#include "skipattn/tokenizer/pretoken_splitter.h"
#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

/// All matches, with | between; what lies outside of them in parentheses.
std::string marked(const std::string& pattern, std::string_view text) {
  const SplitPattern split(pattern);
  PatternScanner scanner(split);
  scanner.start(text);
  std::string result;
  std::size_t end = 0;
  const auto gap = [&](std::size_t to) {
    if (to > end) result += "(" + std::string(text.substr(end, to - end)) + ")|";
  };
  for (PatternScanner::Match match; scanner.next(match); end = match.end) {
    gap(match.begin);
    result += std::string(text.substr(match.begin, match.end - match.begin)) + "|";
  }
  gap(text.size());
  return result;
}

TEST(SplitPattern, WordsNumbersSigns) {
  EXPECT_EQ(marked(kLlama3, "We'LL see 12345  naïve\n\n 日本。x"), "We|'LL| see| |123|45| | naïve|\n\n| 日本|。x|");
  EXPECT_EQ(marked(kLlama3, "it'\u017Fx a\u0301"), "it|'\u017F|x| a|\u0301|");  // the long s folds to s
  EXPECT_EQ(marked(kTekken, "HTTPServer iPhone"), "HTTPServer| i|Phone|");
}

TEST(SplitPattern, GapsAreNotMatches) {
  EXPECT_EQ(marked("[0-9]+", "a12b3"), "(a)|12|(b)|3|");
  EXPECT_EQ(marked("x", ""), "");
  EXPECT_EQ(marked("x", "日本"), "(日本)|");
}

TEST(SplitPattern, OniguramasSyntax) {
  EXPECT_EQ(marked(R"([^(\s|[.,])]+)", "a(b|c.d)e f"), "a|(()|b|(|)|c|(.)|d|())|e|( )|f|");  // a set in a set
  EXPECT_EQ(marked("[a-z&&[^b]]+", "aabcc"), "aa|(b)|cc|");
  EXPECT_EQ(marked("[]a-]+", "x]a-y"), "(x)|]a-|(y)|");
  EXPECT_EQ(marked("a{,2}b", "aaab"), "(a)|aab|");
  EXPECT_EQ(marked("{b", "a{b"), "(a)|{b|");
  EXPECT_EQ(marked(R"(\x{65e5}|\u672C|\x41)", "日本A"), "日|本|A|");
  EXPECT_EQ(marked(R"(\p{^L}+|\P{L}+)", "a12b"), "(a)|12|(b)|");
  EXPECT_EQ(marked(".+", "ab\r\ncd\u2028e"), "ab\r|(\n)|cd\u2028e|");
  EXPECT_EQ(marked("\\s+$", "a  \nb  \n  "), "(a)|  |(\nb)|  \n  |");  // the end of any line
  EXPECT_EQ(marked("^.", "ab\ncd\n"), "a|(b\n)|c|(d\n)|");
  EXPECT_EQ(marked("(?<=a)b|(?<!a)c", "abcacc"), "(a)|b|c|(ac)|c|");
  EXPECT_EQ(marked(R"(\w+\b.)", "ab cd-e"), "ab |cd-|(e)|");
  EXPECT_EQ(marked("(a)(b)|(?>x*)y", "abxy"), "ab|xy|");
  EXPECT_EQ(marked("(?i)ab|(?-i:c)", "ABcC"), "AB|c|(C)|");
  EXPECT_EQ(marked("a+?|b*+c", "aabbc"), "a|a|bbc|");
}

TEST(SplitPattern, BrokenBytesAreCharactersOfTheirOwn) {
  EXPECT_EQ(marked("\xEF\xBF\xBD", "a\xFF\xE6\x97z\xEF\xBF\xBD"), "(a)|\xFF|\xE6|\x97|(z)|\xEF\xBF\xBD|");
  EXPECT_EQ(marked(R"(\p{L}+)", "a\xFF\u65E5\xC3"), "a|(\xFF)|\u65E5|(\xC3)|");
}

TEST(SplitPattern, LongRunsAreNoTrouble) {
  const std::string spaces(3'000'000, ' ');
  const SplitPattern pattern(kLlama3);
  PatternScanner scanner(pattern);
  const std::string text = spaces + "x";
  scanner.start(text);
  PatternScanner::Match match;
  ASSERT_TRUE(scanner.next(match));
  EXPECT_EQ(match.end, spaces.size() - 1);
  ASSERT_TRUE(scanner.next(match));
  EXPECT_EQ(match.end, text.size());
  EXPECT_FALSE(scanner.next(match));
}

TEST(SplitPattern, WhatIsNotSupportedIsNamed) {
  const auto error = [](const char* pattern) {
    return test::input_error_of([&] { const SplitPattern refused(pattern); });
  };
  const std::pair<const char*, const char*> kCases[] = {
      {"a|", "can match where there is no character"},
      {"x*", "can match where there is no character"},
      {R"(\p{Greek})", "a property other than the general categories"},
      {R"(\pL)", "\\p without {…}"},
      {"[[:alpha:]]", "a [:name:]"},
      {"(?i:ss)", "ss, st, ff, fi or fl where case is ignored"},
      {"(?i:\u00E9)", "a letter that is not ASCII where case is ignored"},
      {"(?<name>a)", "is not supported"},
      {"(?x)a", "a group of this kind"},
      {R"((a)\1)", "an escape of this kind"},
      {R"(\R)", "an escape of this kind"},
      {"a{2}+", "a + after {…}"},
      {"*a", "a quantifier of nothing"},
      {"(a", "a ( that nothing closes"},
      {"a)", "a ) that closes nothing"},
      {"[a", "a [ that nothing closes"},
      {"[z-a]", "a range that ends before it begins"},
      {"a\\", "a \\ at the end"},
      {"\xFF", "a byte that is not UTF-8"},
      {"(?<=a+)b", "lookbehind"},
  };
  for (const auto& [pattern, part] : kCases)
    EXPECT_NE(error(pattern).find(part), std::string::npos) << pattern << ": " << error(pattern);
}

/// Pieces by a step, with or without the short cut for plain words.
std::vector<std::string> pieces_of(CompiledStep step, bool plain_words, std::string_view text) {
  EXPECT_TRUE(step.plain_words);
  step.plain_words = plain_words;
  const std::vector<CompiledStep> steps = {step};
  PretokenSplitter splitter(steps);
  std::vector<std::string> pieces;
  splitter.split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(PlainWords, AreWhatTheSearchFinds) {
  Random random(8);
  for (const char* pattern : {kLlama3, kTekken}) {
    const CompiledStep step = compile_steps({{.pattern = pattern}})[0];
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (int n = 0; n < 30; ++n)
        text += random.below(2) ? test::random_words(random, 2) : test::random_text(random, 1 + random.below(3));
      for (char& c : text)
        if (random.below(8) == 0 && c >= 'a' && c <= 'z') c -= 32;
      ASSERT_EQ(pieces_of(step, true, text), pieces_of(step, false, text));
    }
  }
}

TEST(PlainWords, OnlyKnownPatternsTakeThem) {
  EXPECT_TRUE(takes_plain_words(kLlama3));
  EXPECT_FALSE(takes_plain_words(std::string(kLlama3) + "|a"));
  EXPECT_FALSE(takes_plain_words(R"(\w+)"));
  EXPECT_FALSE(takes_plain_words(""));
}

}  // namespace
}  // namespace skipattn::tokenizer
