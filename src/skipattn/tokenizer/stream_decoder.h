// Decoding token by token, as a text is generated.
//
//   StreamDecoder decoder(tokenizer);
//   for (const uint32_t id : ids) out << decoder.push(id);      // together: tokenizer.decode(ids)
#pragma once

#include <algorithm>
#include <string_view>

#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::tokenizer {

class StreamDecoder {
 public:
  /// `tokenizer` must outlive the decoder. `begins`: false when the tokens continue a text, as those after a prompt do;
  /// then the space before the first of them is a space of the text.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool begins = true) : tokenizer_(tokenizer), begins_(begins) {}

  /// The bytes that this token adds, which may be part of a character; valid as long as the tokenizer. Throws InputError
  /// on an id that is not in the vocabulary.
  std::string_view push(uint32_t id) {
    std::string_view bytes = tokenizer_.token(id);
    if (!begins_) return bytes;
    begins_ = false;
    const DropPrefix drop = tokenizer_.vocabulary().scheme.drop_prefix;
    const std::size_t spaces = std::min(bytes.find_first_not_of(' '), bytes.size());
    if (drop == DropPrefix::kOneSpace) bytes.remove_prefix(std::min<std::size_t>(spaces, 1));
    if (drop == DropPrefix::kFirstTokensSpaces) bytes.remove_prefix(spaces);
    return bytes;
  }

 private:
  const Tokenizer& tokenizer_;
  bool begins_;
};

}  // namespace skipattn::tokenizer
