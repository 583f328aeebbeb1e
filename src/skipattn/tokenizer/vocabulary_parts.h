// A vocabulary as its files say it, before anything is known to fit together; private to the
// readers.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// The content of the files, in their printable form: bytes as byte_alphabet.h has them, or characters with U+2581 for a
/// space and <0x00>..<0xFF> for bytes.
struct VocabularyParts {
  std::string vocabulary_file;                              ///< named in errors about tokens
  std::string merges_file;                                  ///< named in errors about merges
  std::unordered_map<std::string, int64_t> ids;             ///< printable token -> id
  std::vector<std::pair<std::string, std::string>> merges;  ///< printable, rank order
  std::vector<AddedToken> added;                            ///< those the files name as such
  Scheme scheme;                                            ///< of the vocabulary
  bool added_is_complete = false;                           ///< false: tokens that no merge makes are added tokens, too
};

/// Puts the parts together. Throws InputError when ids are not 0..n-1 each once, a byte has no
/// token, a merge names or makes an unknown token, or a token comes from nowhere.
Vocabulary assemble_vocabulary(const VocabularyParts& parts);

}  // namespace skipattn::tokenizer
