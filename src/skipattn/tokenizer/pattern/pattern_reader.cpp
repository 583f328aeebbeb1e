#include "skipattn/tokenizer/pattern/pattern_reader.h"

#include <algorithm>
#include <optional>

#include "skipattn/core/errors.h"
#include "skipattn/tokenizer/pattern/set_reader.h"

namespace skipattn::tokenizer {
namespace {

class PatternReader {
 public:
  explicit PatternReader(std::string_view pattern) : text_(pattern) {}

  PatternPieces read() {
    const bool ignore_case = text_.skip("(?i)");
    read_alternatives(ignore_case);
    if (!text_.at_end()) text_.refuse("a ) that closes nothing");
    return std::move(pieces_);
  }

 private:
  void syntax(std::string text) { pieces_.items.push_back({std::move(text), -1}); }
  void set(const CodePointSet& set) {
    const auto found = std::find(pieces_.sets.begin(), pieces_.sets.end(), set);
    pieces_.items.push_back({"", static_cast<int>(found - pieces_.sets.begin())});
    if (found == pieces_.sets.end()) pieces_.sets.push_back(set);
  }
  static CodePointSet just(uint32_t c) {
    CodePointSet result;
    result.add(c, c);
    return result;
  }

  /// Up to the end of the pattern or of the group.
  void read_alternatives(bool ignore_case) {
    while (!text_.at_end() && text_.peek() != ')') {
      if (text_.skip("|")) {
        syntax("|");
        last_literal_ = 0;
        continue;
      }
      const uint32_t before = std::exchange(last_literal_, 0);
      read_item(ignore_case, before);
      if (read_quantifier()) last_literal_ = 0;
    }
    last_literal_ = 0;
  }

  void read_item(bool ignore_case, uint32_t literal_before) {
    const char c = text_.peek();
    if (c == '(') return read_group(ignore_case);
    if (c == '[') return set(read_bracket_set(text_, ignore_case));
    if (c == '*' || c == '+' || c == '?') text_.refuse("a quantifier of nothing");
    if (text_.skip(".")) return set(just('\n').complemented());
    if (text_.skip("^")) return line_begin();
    if (text_.skip("$")) return line_end();
    if (c == '\\' && read_assertion()) return;
    const SetItem item = read_set_item(text_, ignore_case);
    if (item.literal && ignore_case) check_folding(literal_before, *item.literal);
    if (item.literal) last_literal_ = *item.literal;
    set(item.set);
  }

  /// Oniguruma lets two letters match one character that folds to them, ß for ss and the ligatures.
  void check_folding(uint32_t before, uint32_t literal) {
    const auto lower = [](uint32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
    const uint32_t a = lower(before), b = lower(literal);
    if ((a == 's' && (b == 's' || b == 't')) || (a == 'f' && (b == 'f' || b == 'i' || b == 'l')))
      text_.refuse("ss, st, ff, fi or fl where case is ignored");
  }

  void read_group(bool ignore_case) {
    static constexpr std::string_view kSame[] = {"(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!"};
    const auto open = std::find_if(std::begin(kSame), std::end(kSame), [&](auto sign) { return text_.skip(sign); });
    if (open != std::end(kSame)) {
      syntax(std::string(*open));
    } else if (text_.skip("(?i:")) {
      ignore_case = true;
      syntax("(?:");
    } else if (text_.skip("(?-i:")) {
      ignore_case = false;
      syntax("(?:");
    } else {
      text_.skip("(");
      if (!text_.at_end() && text_.peek() == '?') text_.refuse("a group of this kind");
      syntax("(?:");  // what a group captures is never asked for
    }
    read_alternatives(ignore_case);
    if (!text_.skip(")")) text_.refuse("a ( that nothing closes");
    syntax(")");
  }

  bool read_assertion() {
    if (text_.skip("\\A") || text_.skip("\\z")) {
      syntax(text_.last() == 'A' ? "\\A" : "\\z");
    } else if (text_.skip("\\Z")) {
      syntax("(?=");
      set(just('\n'));
      syntax("?\\z)");
    } else if (text_.skip("\\b")) {
      word_boundary("(?:(?<=", ")(?!", ")|(?<!", ")(?=");
    } else if (text_.skip("\\B")) {
      word_boundary("(?:(?<=", ")(?=", ")|(?<!", ")(?!");
    } else {
      return false;
    }
    return true;
  }
  void word_boundary(const char* a, const char* b, const char* c, const char* d) {
    const CodePointSet word(unicode::kWordCharacters, unicode::kWordCharactersCount);
    for (const char* part : {a, b, c, d}) {
      syntax(part);
      set(word);
    }
    syntax("))");
  }
  /// After every line feed but one at the very end.
  void line_begin() {
    syntax("(?:\\A|(?<=");
    set(just('\n'));
    syntax(")(?!\\z))");
  }
  void line_end() {
    syntax("(?:(?=");
    set(just('\n'));
    syntax(")|\\z)");
  }

  bool read_quantifier() {
    if (text_.at_end()) return false;
    const char c = text_.peek();
    if (c == '*' || c == '+' || c == '?') {
      text_.skip(std::string_view(&c, 1));
      std::string quantifier(1, c);
      if (text_.skip("?")) quantifier += '?';
      if (quantifier.size() == 1 && text_.skip("+")) quantifier += '+';
      syntax(quantifier);
      return true;
    }
    return c == '{' && read_interval();
  }

  /// {n} {n,} {n,m} {,m}; anything else in braces is literal.
  bool read_interval() {
    const std::string_view rest = text_.rest();
    const std::size_t close = rest.find('}');
    if (close == std::string_view::npos || close < 2) return false;
    const std::string_view inside = rest.substr(1, close - 1);
    const std::size_t comma = inside.find(',');
    const auto is_number = [](std::string_view s) {
      return s.find_first_not_of("0123456789") == std::string_view::npos;
    };
    const std::string_view low = inside.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? low : inside.substr(comma + 1);
    if (!is_number(low) || !is_number(high) || (low.empty() && high.empty())) return false;
    text_.skip(rest.substr(0, close + 1));
    const std::string least = low.empty() ? "0" : std::string(low);
    syntax(comma == std::string_view::npos ? "{" + least + "}" : "{" + least + "," + std::string(high) + "}");
    if (text_.skip("+")) text_.refuse("a + after {…}");
    if (text_.skip("?")) {
      if (comma == std::string_view::npos) text_.refuse("a ? after {n}");
      syntax("?");
    }
    return true;
  }

  PatternText text_;
  PatternPieces pieces_;
  uint32_t last_literal_ = 0;  // the letter just before, which may fold together with the next one
};

}  // namespace

PatternPieces read_pattern(std::string_view pattern) {
  return PatternReader(pattern).read();
}

}  // namespace skipattn::tokenizer
