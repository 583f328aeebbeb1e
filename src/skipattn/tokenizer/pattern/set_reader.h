// The part of pattern_reader.h that reads what stands for one code point: literals, escapes and sets in brackets.
#pragma once

#include <optional>
#include <string_view>

#include "skipattn/tokenizer/unicode/code_point_set.h"

namespace skipattn::tokenizer {

/// A pattern and how far it was read.
class PatternText {
 public:
  explicit PatternText(std::string_view pattern) : pattern_(pattern) {}
  bool at_end() const { return next_ == pattern_.size(); }
  char peek() const { return pattern_[next_]; }
  char last() const { return pattern_[next_ - 1]; }
  std::string_view rest() const { return pattern_.substr(next_); }
  /// Passes over `text` if it comes next.
  bool skip(std::string_view text);
  /// The code point that comes next, passed over. Not at the end.
  uint32_t take();
  /// Throws InputError: the pattern, what is not supported, and where.
  [[noreturn]] void refuse(std::string_view what) const;

 private:
  std::string_view pattern_;
  std::size_t next_ = 0;
};

/// What one literal or escape stands for.
struct SetItem {
  CodePointSet set;
  std::optional<uint32_t> literal;  ///< the code point, where it is one
};

/// Reads a literal or an escape; not at the end. Where case is ignored, both cases are in the set.
SetItem read_set_item(PatternText& text, bool ignore_case);

/// Reads a set from its [ to its ].
CodePointSet read_bracket_set(PatternText& text, bool ignore_case);

}  // namespace skipattn::tokenizer
