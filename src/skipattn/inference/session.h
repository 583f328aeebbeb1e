// Session: a model, a few prompts side by side, and the KV cache that holds what was read so far.
//
//   Session session(decoder, {{15496, 995}, {40}}, {});
//   at::Tensor logits = session.prefill();         // what may follow each prompt, [B, vocabulary]
//   logits = session.decode({11, 716});            // one more token for each row
//
// Prompts run through the Decoder's forward pass, in torch operations, on any device and in any dtype, and so do the tokens
// after them; on a card these take the recorded step of card_decoder.h. On the CPU the engine (engine.h) does all of it faster.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "skipattn/inference/card_decoder.h"
#include "skipattn/inference/kv_cache.h"
#include "skipattn/inference/padded_batch.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

struct SessionOptions {
  at::ScalarType cache_dtype = at::kBFloat16;  ///< bf16 or fp32
  int64_t prefill_chunk = 2048;  ///< columns of the prompts that run at once, 1 or more; bounds the memory
};

class Session {
 public:
  /// Prompts of one token or more. The decoder must outlive the session; it runs on its weights' device and dtype.
  /// Throws InputError listing every fault: no prompt, an empty one, a token outside the vocabulary, a prompt longer
  /// than the model's positions.
  Session(const model::Decoder& decoder, const std::vector<TokenIds>& prompts, const SessionOptions& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Reads the prompts; the vocabulary head runs for the last token alone. Logits fp32 [B, vocabulary] on the CPU.
  /// Once.
  at::Tensor prefill();
  /// Reads one more token a row, after prefill(). Logits as prefill()'s. Throws InputError beyond the model's
  /// positions.
  at::Tensor decode(const TokenIds& next);
  /// Forgets what was decoded behind column `columns`, the prompts' width or more: decode() goes on from there.
  void rewind(int64_t columns);

  const KvCache& cache() const { return cache_; }
  const PaddedBatch& batch() const { return batch_; }
  /// Tokens that the cache holds, all rows' together, padding not counted.
  int64_t tokens_held() const;

 private:
  at::Tensor run(const model::Input& input);  // hidden states [B, T, D]
  at::Tensor last_logits(const at::Tensor& hidden) const;

  const model::Decoder& decoder_;
  SessionOptions options_;
  PaddedBatch batch_;
  KvCache cache_;
  std::unique_ptr<CardDecoder> card_;  // null: decode() runs the Decoder
};

}  // namespace skipattn::inference
