// Vocabularies as people have them, in Hugging Face's two forms:
//   vocab.json + merges.txt   GPT-2's own. Tokens that no merge makes are its added tokens; they must be written like
//                             one, <…> or […], so that a merges.txt cut short is noticed. added_tokens.json is read too.
//   tokenizer.json            what `tokenizers` saves; the one that is read where both are there. Which kinds are
//                             supported stands in scheme_reading.h; others are refused, since ids would differ.
#pragma once

#include <filesystem>

#include "skipattn/tokenizer/vocabulary.h"

namespace skipattn::tokenizer {

/// Reads the vocabulary in `directory`. Throws InputError naming the file and what is wrong with
/// it.
Vocabulary read_vocabulary(const std::filesystem::path& directory);

/// Writes the vocabulary, so that AutoTokenizer of Transformers opens the folder: GPT-2's scheme as vocab.json,
/// merges.txt, tokenizer.json and tokenizer_config.json, any other as the files it was read from. Each is written
/// atomically. Makes the folder where there is none. Throws RunError when the disk does not take it.
void write_vocabulary(const Vocabulary& vocabulary, const std::filesystem::path& directory);

}  // namespace skipattn::tokenizer
