// Looking for the added tokens in a text: of those that begin first, the longest, as `tokenizers` does.
//
//   const AddedTokenMatcher matcher(tokens);
//   AddedTokenMatcher::Match match;                    // begin and end are 0
//   while (matcher.next(text, /*with_special=*/true, match)) …
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// Immutable once built, for any number of threads.
class AddedTokenMatcher {
 public:
  /// Bytes begin..end-1 of the text are this token, with the white space that it takes, even where a match before it has
  /// taken that.
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    uint32_t id = 0;
    std::size_t bare_end =
        0;  ///< `end` without white space: the next search begins here, and what it finds, though taken
            ///< already, counts again, as with `tokenizers`
  };

  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  /// True when no token would ever be found.
  bool empty(bool with_special) const { return with_special ? tokens_.empty() : !has_ordinary_; }
  /// Puts the match after `match` into it; false when there is none. Without special tokens, their texts are passed over
  /// as the text they are.
  bool next(std::string_view text, bool with_special, Match& match) const;

 private:
  const AddedToken* longest_at(std::string_view rest) const;

  std::vector<AddedToken> tokens_;  // by first byte, the longer first
  bool has_ordinary_ = false;
  std::array<uint32_t, 257> begin_of_{};  // [first byte] where its tokens begin in tokens_
};

}  // namespace skipattn::tokenizer
