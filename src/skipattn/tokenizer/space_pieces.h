// The pieces of text for SentencePiece's vocabularies, where a space, written U+2581, is part of the word after it.
// Nothing is cut there by rule: the whole text is one piece. But where no merge joins a word to a space after it, and in
// vocabularies of such words none does, the text may be cut before its spaces, and the ids are the same.
#pragma once

#include <string>
#include <string_view>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// U+2581, as which a space is written in vocabularies.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Where a text may be cut into pieces.
enum class SpaceCut {
  kNowhere,
  kBeforeRuns,    ///< before a space that follows something else
  kBeforeSpaces,  ///< before every space
};

/// kBeforeRuns or kBeforeSpaces when that changes no ids, or is what the scheme says.
SpaceCut space_cut(const Vocabulary& vocabulary);

/// Walks through the pieces of a text, which must outlive it.
class SpacePieces {
 public:
  SpacePieces(std::string_view text, SpaceCut cut) : text_(text), cut_(cut) {}

  bool next(std::string_view& piece) {
    if (begin_ == text_.size()) return false;
    std::size_t end = text_.size();
    if (cut_ != SpaceCut::kNowhere) {
      end = begin_ + 1;
      while (end < text_.size() && !(text_[end] == ' ' && (cut_ == SpaceCut::kBeforeSpaces || text_[end - 1] != ' ')))
        ++end;
    }
    piece = text_.substr(begin_, end - begin_);
    begin_ = end;
    return true;
  }

 private:
  std::string_view text_;
  SpaceCut cut_;
  std::size_t begin_ = 0;
};

/// The text with a space for each U+2581, since merging does not tell them apart, and with one more before it if
/// `prefix`: itself where nothing is to be changed, else what is now in `buffer`.
std::string_view with_plain_spaces(std::string_view text, bool prefix, std::string& buffer);

}  // namespace skipattn::tokenizer
