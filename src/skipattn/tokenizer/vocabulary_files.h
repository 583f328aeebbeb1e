// Vocabularies as people have them, Hugging Face's two forms of byte-level BPE:
//   vocab.json + merges.txt   GPT-2's own. Tokens that no merge makes are its added tokens; they
//   must be written like
//                             one, <…> or […], so that a merges.txt cut short is noticed.
//                             added_tokens.json is read too.
//   tokenizer.json            what `tokenizers` saves; the one that is read where both are there.
// Supported is exactly GPT-2's scheme: no normalizer, the ByteLevel pre-tokenizer with its pattern
// and without a prefix space, every byte a token. Anything else is refused, since it would give
// other ids.
#pragma once

#include <filesystem>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// Reads the vocabulary in `directory`. Throws InputError naming the file and what is wrong with
/// it.
Vocabulary read_vocabulary(const std::filesystem::path& directory);

/// Writes vocab.json, merges.txt, tokenizer.json and tokenizer_config.json, each atomically, so
/// that AutoTokenizer of Transformers opens the folder. Makes the folder where there is none.
/// Throws RunError when the disk does not take it.
void write_vocabulary(const Vocabulary& vocabulary, const std::filesystem::path& directory);

}  // namespace skipattn::tokenizer
