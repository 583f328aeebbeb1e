#include "skipattn/tokenizer/space_pieces.h"

#include <algorithm>

namespace skipattn::tokenizer {

SpaceCut space_cut(const Vocabulary& vocabulary) {
  if (vocabulary.scheme.split_at_every_space) return SpaceCut::kBeforeSpaces;
  const bool joined = std::any_of(vocabulary.merges.begin(), vocabulary.merges.end(), [&](const Merge& merge) {
    return vocabulary.tokens[merge.left].back() != ' ' && vocabulary.tokens[merge.right].front() == ' ';
  });
  return joined ? SpaceCut::kNowhere : SpaceCut::kBeforeRuns;
}

std::string_view with_plain_spaces(std::string_view text, bool prefix, std::string& buffer) {
  std::size_t mark = text.find(kSpaceMark);
  if (mark == std::string_view::npos && !prefix) return text;
  buffer.assign(prefix ? " " : "");
  while (mark != std::string_view::npos) {
    buffer.append(text.substr(0, mark)).append(1, ' ');
    text.remove_prefix(mark + kSpaceMark.size());
    mark = text.find(kSpaceMark);
  }
  buffer.append(text);
  return buffer;
}

}  // namespace skipattn::tokenizer
