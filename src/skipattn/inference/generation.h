// Generation: continues prompts token by token, and says how fast that was and what its cache took.
//
//   const GenerationResult result = generate(decoder, {.max_new_tokens = 50}, {tokenizer.encode("Once upon a time")});
//   tokenizer.decode(result.rows[0].tokens)
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "skipattn/inference/engine.h"
#include "skipattn/inference/padded_batch.h"
#include "skipattn/inference/sampler.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

struct GenerationOptions {
  int64_t max_new_tokens = 100;  ///< of each row, 1 or more
  SamplingOptions sampling;
  uint64_t seed = 1;         ///< row i draws from its own stream of this seed
  int64_t end_of_text = -1;  ///< the token that ends a row; -1: none does
  int64_t vocabulary = 0;    ///< only tokens below this are drawn (a model may have padding rows); 0: all the model's
  EngineOptions engine;      ///< of the engine that is made for a decoder
};

/// Why a row ended.
enum class Finish {
  kEndOfText,  ///< the model drew end_of_text
  kLength,     ///< max_new_tokens were drawn
  kStopped,    ///< on_token said so
};
/// "end_of_text", "length" or "stopped".
const char* finish_name(Finish finish);

/// What followed one prompt.
struct Continuation {
  TokenIds tokens;  ///< new tokens alone; end_of_text, when it came, is the last
  Finish finish = Finish::kLength;
};

struct GenerationResult {
  std::vector<Continuation> rows;        ///< one for each prompt
  int64_t prompt_tokens = 0;             ///< of all prompts
  double prefill_seconds = 0;            ///< from the prompts to the logits behind them
  int64_t decoded_tokens = 0;            ///< read one at a time after the prompts and answered with logits
  double decode_seconds = 0;             ///< of those, sampling and on_token included
  int64_t kv_cache_bytes = 0;            ///< of the tokens held at the end, padding not counted
  int64_t kv_cache_allocated_bytes = 0;  ///< of all buffers

  /// NaN when there was nothing to measure.
  double prefill_tokens_per_second() const;
  double decode_tokens_per_second() const;
};

/// Called with every new token of a row as it is drawn; false ends that row (the token stays).
using TokenSink = std::function<bool(int64_t row, uint32_t token)>;

/// New tokens that a prompt of `prompt_tokens` leaves room for: the last one drawn is never read and needs no position.
int64_t room_for_new_tokens(const model::ModelConfig& config, int64_t prompt_tokens);

/// Reads the prompts once, then decodes with the cache until every row has ended. Throws InputError before anything runs,
/// listing every fault of the prompts (none, an empty one, a token outside the vocabulary, one longer than the model's
/// positions), then of the options, more new tokens than the longest prompt leaves positions for among them. Throws
/// RunError when the model's logits are broken.
GenerationResult generate(Engine& engine, const GenerationOptions& options, const std::vector<TokenIds>& prompts,
                          const TokenSink& on_token = {});

/// The same with an engine made for the occasion; a decoder that is not on the CPU runs through a Session.
GenerationResult generate(const model::Decoder& decoder, const GenerationOptions& options,
                          const std::vector<TokenIds>& prompts, const TokenSink& on_token = {});

}  // namespace skipattn::inference
