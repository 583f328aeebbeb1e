// Reads the regular expressions that tokenizer.json files hold (Oniguruma's dialect) into pieces: sets of code points,
// and the syntax around them in the words of PCRE2. What a set holds is decided here, by our own Unicode tables; the
// library that searches never sees a code point (split_pattern.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/unicode/code_point_set.h"

namespace skipattn::tokenizer {

/// A pattern, cut up. Its text is that of all items one after another.
struct PatternPieces {
  struct Item {
    std::string syntax;  ///< PCRE2's, where `set` is negative
    int set = -1;        ///< index of one code point's set
  };
  std::vector<Item> items;
  std::vector<CodePointSet> sets;  ///< different from each other
};

/// Throws InputError naming the pattern and the first thing in it that is not supported. Supported are literals, ., sets
/// in brackets with ranges, nesting and &&, \s \d \w \p{…} and their negations, \n \r \t \f \v \e \a \xHH \x{H…} \uHHHH,
/// alternation, all groups and lookarounds, (?i:…) over ASCII, quantifiers of every kind, ^ $ \A \z \Z \b \B.
PatternPieces read_pattern(std::string_view pattern);

}  // namespace skipattn::tokenizer
