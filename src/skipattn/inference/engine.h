// Engine: a model made ready for generation on the CPU. It copies the weights once into the dtype they are to be read in,
// keeps the KV cache in blocks (block_cache.h), reads prompts through the fused pieces of model/ (prefill.h) and decodes in
// plain loops over kernels of its own (decode_step.h). What it computes is defined by model::Decoder's forward pass.
//
//   Engine engine(decoder, {.weights = Dtype::kBf16, .cache = Dtype::kBf16});
//   CachedSequence one = engine.new_sequence(), two = engine.new_sequence();
//   std::span<const float> logits = engine.prefill(one, {15496, 995});   // what may follow, [vocabulary]
//   engine.prefill(two, {40});
//   logits = engine.decode({{&one, 11}, {&two, 716}});                   // one more token each: [2, vocabulary]
//   one.set_length(2);                                                   // forget what was decoded
//
// Sequences come and go between calls in any order, and must go before the engine. For one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "skipattn/inference/block_cache.h"
#include "skipattn/inference/dtype.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

struct EngineOptions {
  Dtype weights = Dtype::kBf16;  ///< of all matrices; prompts are computed in fp32 for fp32 weights, else in bf16
  Dtype cache = Dtype::kBf16;    ///< of keys and values
  int threads = 0;               ///< that decode; 0: as many as torch's
  int64_t prefill_chunk = 2048;  ///< tokens of a prompt that are read at once, 1 or more; bounds the memory
  /// Prompts stop at the last layer whose keys or values are read. false: they run through all layers, which
  /// prompt_logits() needs.
  bool skip_unread_layers = true;
};

/// A token that a sequence goes on with.
struct NextToken {
  CachedSequence* sequence = nullptr;
  uint32_t token = 0;
};

class Engine {
 public:
  /// Takes what it needs of the decoder. Throws InputError for a decoder that is not on the CPU, or a prefill_chunk below 1.
  Engine(const model::Decoder& decoder, const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const model::ModelConfig& config() const;
  const EngineOptions& options() const { return options_; }

  /// An empty sequence.
  CachedSequence new_sequence();

  /// Reads one or more tokens behind what the sequence holds. Logits of what may follow the last one, fp32 [vocabulary],
  /// valid until the next call. Throws InputError for a token outside the vocabulary, and beyond the model's positions
  /// (then nothing has been read).
  std::span<const float> prefill(CachedSequence& sequence, std::span<const uint32_t> tokens);
  std::span<const float> prefill(CachedSequence& sequence, std::initializer_list<uint32_t> tokens) {
    return prefill(sequence, std::span<const uint32_t>(tokens.begin(), tokens.size()));
  }

  /// prefill() that gives the logits behind every token: fp32 [tokens, vocabulary]. Throws InputError when prompts skip
  /// layers of this model (EngineOptions::skip_unread_layers), which then know only the last token.
  std::vector<float> prompt_logits(CachedSequence& sequence, std::span<const uint32_t> tokens);

  /// Reads one token of each sequence (none twice). Logits fp32 [count, vocabulary], valid until the next call. Throws as
  /// prefill() does.
  std::span<const float> decode(std::span<const NextToken> next);
  std::span<const float> decode(std::initializer_list<NextToken> next) {
    return decode(std::span<const NextToken>(next.begin(), next.size()));
  }

  /// Bytes of the weights' matrices, scales included: what a decoded token reads at least, besides its cache.
  int64_t matrix_bytes() const;
  int64_t cache_bytes_per_token() const;

 private:
  struct Parts;
  void check(const CachedSequence& sequence, std::span<const uint32_t> tokens) const;

  EngineOptions options_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skipattn::inference
