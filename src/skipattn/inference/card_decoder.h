// CardDecoder: the tokens after a prompt on a card, one a row and step, over buffers that stay: the model's fused kernels, the
// two of card_kernels.h, and the whole step recorded as a CUDA graph. What it computes is Decoder::hidden_states().
//
//   if (CardDecoder::serves(decoder)) {
//     CardDecoder card(decoder, cache, batch);             // the prompts are in the cache
//     at::Tensor logits = card.decode({11, 716});          // [B, vocabulary]; the cache holds one token more of each row
//   }
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "skipattn/inference/card_kernels.h"
#include "skipattn/inference/kv_cache.h"
#include "skipattn/inference/padded_batch.h"
#include "skipattn/model/decoder.h"
#include "skipattn/model/step_graph.h"

namespace skipattn::inference {

class CardDecoder {
 public:
  /// Decoder, cache and batch must outlive it; it runs on the decoder's device and in its dtype.
  CardDecoder(const model::Decoder& decoder, KvCache& cache, const PaddedBatch& batch);

  /// Whether a decoder of this device, dtype and shape can be run.
  static bool serves(const model::Decoder& decoder);

  /// Reads a token of each row: logits [B, vocabulary] in the compute dtype, valid until the next call. Throws InputError
  /// beyond the model's positions.
  const at::Tensor& decode(const TokenIds& next);

 private:
  /// What attention needs of one layer, on the device.
  struct LayerPairs {
    at::Tensor pairs;       // CardPair, as bytes
    at::Tensor pair_begin;  // int32 [H + 1]
    int64_t most = 0;
  };

  void make_buffers();
  void follow_cache();
  LayerPairs make_pairs(const model::LayerLayout& layout) const;
  void fill_inputs(const TokenIds& next);
  void run();
  void run_layer(int64_t layer);
  void norm_sum(const at::Tensor& branch, const model::fused::NormParameters& norm, const at::Tensor& normed);
  void append(const model::LayerLayout& layout);
  void attend(const model::LayerLayout& layout);
  at::Tensor projection(const model::LayerLayout& layout) const;

  const model::Decoder& decoder_;
  KvCache& cache_;
  const PaddedBatch& batch_;
  const CardKernels& kernels_;
  model::StepGraph graph_;
  int64_t capacity_ = -1;  // of the cache when pairs_ were made
  std::vector<LayerPairs> pairs_;
  at::Tensor inputs_;                               // int64 [2 B + 1]: tokens, positions, the slot they go to
  at::Tensor tokens_, positions_, slot_, padding_;  // views of it; padding_ int64 [B]
  at::Tensor rotary_table_;                         // fp32 [positions, 2, d/2], or undefined
  at::Tensor residual_, statistics_, partial_;      // fp32 [B, D], [B, 2], scratch of the attention
  at::Tensor normed_, branch_, attended_;           // [B, D], [B, D], [B, H * d]
  at::Tensor qkv_, unnormed_, hidden_, activated_;  // flat, as large as the largest layer needs
  at::Tensor logits_;                               // [B, vocabulary]
};

}  // namespace skipattn::inference
