// Training of byte-level BPE vocabularies (Gage 1994; Sennrich et al., arXiv 1508.07909).
//
// Starting from single bytes, the most frequent adjacent pair inside pre-tokens becomes a token,
// again and again. Of equally frequent pairs the one with the smaller left id is taken, then the
// one with the smaller right id; so the result depends on the counts alone. It equals that of
// `tokenizers`' BpeTrainer on the same counts. Ids: the 256 bytes in the order of GPT-2's alphabet,
// the merges in the order they were made, the special tokens last.
#pragma once

#include <string>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/tokenizer/pretoken_counter.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::tokenizer {

struct TrainBpeOptions {
  /// Tokens in all: 256 bytes, merges and special tokens; at least 256 + special tokens.
  int vocab_size = 4096;
  /// A pair that comes less often is not merged; 1 or more.
  uint64_t min_frequency = 2;
  /// Each must hold more than one pre-token, or it could be learned from text, too.
  std::vector<std::string> special_tokens = {std::string(kEndOfText)};
  /// Told of the size reached now and then.
  ProgressSink progress = {};
};

/// Makes a vocabulary; smaller than asked for when no pair is left that comes min_frequency times.
/// Throws InputError when an option is out of range or nothing was counted.
Tokenizer train_bpe(const PretokenCounter& counter, const TrainBpeOptions& options);

}  // namespace skipattn::tokenizer
