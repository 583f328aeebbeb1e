// Reads a prompt: many tokens of one sequence at once, through the fused pieces that training's forward pass is made of
// (model/matmul.h, model/attend.h, model/fused/). Keys and values go into the cache; attention reads them as the cache holds
// them, so that a prompt read in pieces is the prompt read at once.
//
// Only what somebody needs is computed: behind the last layer whose keys or values are read, nobody needs any token but the
// prompt's last. Prefill ends with that layer's keys and values and hands the last token over to a DecodeStep (a model whose
// upper half only borrows does half the work: YOCO, arXiv 2405.05254).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "skipattn/inference/block_cache.h"
#include "skipattn/inference/engine_weights.h"
#include "skipattn/inference/kept_tensors.h"

namespace skipattn::inference {

class Prefill {
 public:
  /// Both must outlive it.
  Prefill(const EngineWeights& weights, const CacheLayout& layout);

  /// The last layer whose keys or values are read (0 if there is none).
  int64_t handover_layer() const { return handover_layer_; }

  /// Reads tokens behind what the sequence holds, which is as long as before afterwards but reserved and filled. Returns
  /// the input of layer handover_layer() for the last of them, fp32 [1, D].
  at::Tensor run(CachedSequence& sequence, std::span<const uint32_t> tokens);

  /// Reads tokens in the same way, but through all layers: the final norm's output for each, [tokens, D].
  at::Tensor run_through(CachedSequence& sequence, std::span<const uint32_t> tokens);
  /// The vocabulary head over what run_through() gave: fp32 [tokens, vocabulary].
  at::Tensor vocabulary_logits(const at::Tensor& hidden);

 private:
  struct Pass;
  /// What the tensors are for that all layers write into anew.
  enum Use {
    kResidual,
    kNormed,
    kStatistics,
    kQkv,
    kAttended,
    kLogSumExp,
    kBranch,
    kHidden,
    kActivated,
    kLogits,
    kUses
  };
  /// Keys or values of one layer, [1, heads, S, d], for the layers that still read them.
  struct Lent {
    at::Tensor keys, values;
  };

  Pass begin(CachedSequence& sequence, std::span<const uint32_t> tokens);
  void embed(Pass& pass) const;
  void norm(Pass& pass, const Norm& norm);
  at::Tensor product(const Linear& linear, const at::Tensor& x, int64_t first_row, Use use);
  void keys_and_values(Pass& pass, int64_t layer, const at::Tensor& projected, int64_t first_head) const;
  void layer(Pass& pass, int64_t layer);
  void lend(Pass& pass, int64_t layer, const at::Tensor& qkv);
  at::Tensor gather(const Pass& pass, int64_t layer, bool is_value) const;
  at::Tensor attended(Pass& pass, int64_t layer, const at::Tensor& qkv);
  at::Tensor activated(const at::Tensor& hidden);

  const EngineWeights& weights_;
  const CacheLayout& layout_;
  int64_t handover_layer_ = 0;
  KeptTensors<kUses> kept_;
  at::Tensor unpacked_;  // int8 weights of one matrix as bf16, for its product
};

}  // namespace skipattn::inference
