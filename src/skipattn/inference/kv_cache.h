// KvCache: the keys and values of the tokens so far, laid out by the plan: for every layer one buffer for its live K
// heads and one for its live V heads, none where nobody reads. What a head borrows lies in the cache once, in its
// source's layer.
//
//   KvCache cache(decoder.plan(), decoder.config().head_width, {.positions = decoder.config().positions});
//   model::Input input{.tokens = tokens, .past = cache.length()};
//   const at::Tensor hidden = decoder.hidden_states(input, {.key_value_hook = cache.hook(tokens.size(1))});
//   cache.advance(tokens.size(1));
//
// Prompts of different lengths lie side by side padded on the left (padded_batch.h): a row's padding takes slots too,
// and Input::first_key hides it. Buffers double as they grow, so a token is moved about once in the long run; layers
// grow one after another, so that the memory taken meanwhile is one layer's.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "skipattn/model/layer.h"
#include "skipattn/routing/plan.h"

namespace skipattn::inference {

struct CacheOptions {
  at::ScalarType dtype = at::kBFloat16;  ///< of what is kept: bf16 or fp32
  at::ScalarType compute_dtype =
      at::kFloat;  ///< of what readers get; another dtype than the cache's costs a copy a read
  at::Device device = at::kCPU;
  int64_t batch = 1;         ///< B, rows side by side
  int64_t positions = 1024;  ///< most slots a row may have (the model's positions)
};

class KvCache {
 public:
  /// Tokens a buffer's capacity is rounded up to.
  static constexpr int64_t kBlock = 64;

  /// Takes no memory yet. Throws InputError when the dtype is neither bf16 nor fp32.
  KvCache(const routing::Plan& plan, int64_t head_width, const CacheOptions& options);

  /// Slots of every row that are taken (padding included).
  int64_t length() const { return length_; }
  /// Slots of every row that memory is held for.
  int64_t capacity() const { return capacity_; }

  /// Makes room for `tokens` more and returns what the Decoder calls for every layer of one forward pass over them: it
  /// writes what the layer projected behind what is there and returns all of it, [B, live heads, length + tokens, d] in
  /// the compute dtype (a view of the cache when that is its dtype). The tokens count only after advance(tokens): a
  /// pass that failed is written over. The cache must outlive the hook. Throws InputError beyond `positions`.
  model::KeyValueHook hook(int64_t tokens);
  void advance(int64_t tokens);
  /// Makes room for `tokens` more, as hook() does: buffers may move, which shows in capacity().
  void make_room(int64_t tokens);
  /// A layer's buffers [B, live heads, capacity, d] in the cache's dtype; undefined without live heads.
  const at::Tensor& keys(int64_t layer) const { return layers_.at(layer).keys.data; }
  const at::Tensor& values(int64_t layer) const { return layers_.at(layer).values.data; }
  at::ScalarType dtype() const { return options_.dtype; }
  /// Forgets the slots from `length` (at most length()) on; their memory stays.
  void truncate(int64_t length);
  /// Holds memory for this many slots a row, to spare growing when the number is known. Throws as hook() does.
  void reserve(int64_t slots);

  /// Bytes that one token takes: (live K heads + live V heads) * d * bytes of the dtype, the plan's figure.
  int64_t bytes_per_token() const;
  /// Bytes that `tokens` tokens take, all rows' together.
  int64_t bytes_held(int64_t tokens) const { return tokens * bytes_per_token(); }
  /// Bytes of all buffers.
  int64_t bytes_allocated() const;

 private:
  struct Buffer {
    int64_t heads = 0;
    at::Tensor data;  // [B, heads, capacity, d]; undefined without heads
  };
  struct Layer {
    Buffer keys, values;
  };
  void grow(Buffer& buffer, int64_t capacity) const;
  at::Tensor append(const Buffer& buffer, const at::Tensor& projected) const;

  CacheOptions options_;
  int64_t head_width_;
  std::vector<Layer> layers_;  // [L]
  int64_t length_ = 0;
  int64_t capacity_ = 0;
};

}  // namespace skipattn::inference
