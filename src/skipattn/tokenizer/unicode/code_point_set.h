// Sets of code points, as split patterns name them: [a-z], \s, \p{Lu}, and what is made of them.
//
//   CodePointSet set = CodePointSet::property("L").value();
//   set.unite(CodePointSet(unicode::kSpaces, unicode::kSpacesCount));
//   set.complemented().contains('!');                            // true
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/unicode/tables.h"

namespace skipattn::tokenizer {

class CodePointSet {
 public:
  using Range = unicode::CodePointRange;

  CodePointSet() = default;
  /// Sorted ranges that do not touch, as the tables have them.
  CodePointSet(const Range* ranges, std::size_t count) : ranges_(ranges, ranges + count) {}

  /// A general category by its short name (Lu; L for all of Lu, Ll, Lt, Lm, Lo) or one of the scripts Han, Hiragana,
  /// Katakana, Hangul, or Digits: what the pre-tokenizer of that name cuts out. Nothing for other names.
  static std::optional<CodePointSet> property(std::string_view name);

  /// Adds first..last, both included.
  void add(uint32_t first, uint32_t last);
  void unite(const CodePointSet& other);
  void intersect(const CodePointSet& other);
  CodePointSet complemented() const;

  bool contains(uint32_t code_point) const;
  /// True when no code point is in both.
  bool disjoint(const CodePointSet& other) const;
  bool contains_all(const CodePointSet& other) const;
  /// Sorted, disjoint, not touching.
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const CodePointSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

}  // namespace skipattn::tokenizer
