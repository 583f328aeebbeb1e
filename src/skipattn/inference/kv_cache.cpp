#include "skipattn/inference/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/core/operation_timer.h"

namespace skipattn::inference {

KvCache::KvCache(const routing::Plan& plan, int64_t head_width, const CacheOptions& options)
    : options_(options), head_width_(head_width) {
  if (options.dtype != at::kBFloat16 && options.dtype != at::kFloat)
    throw InputError("cache dtype {}: must be bf16 or fp32", c10::toString(options.dtype));
  for (const routing::LayerPlan& layer : plan.layers)
    layers_.push_back({.keys = {.heads = static_cast<int64_t>(layer.live_keys.size()), .data = {}},
                       .values = {.heads = static_cast<int64_t>(layer.live_values.size()), .data = {}}});
}

void KvCache::make_room(int64_t tokens) {
  const int64_t needed = length_ + tokens;
  if (needed > capacity_) reserve(std::min(std::max(needed, 2 * capacity_), std::max(needed, options_.positions)));
}

model::KeyValueHook KvCache::hook(int64_t tokens) {
  make_room(tokens);
  return [this](int64_t layer, const model::KeyValues& projected) {
    const Layer& held = layers_.at(layer);
    return model::KeyValues{append(held.keys, projected.keys), append(held.values, projected.values)};
  };
}

void KvCache::advance(int64_t tokens) {
  TORCH_INTERNAL_ASSERT(length_ + tokens <= capacity_, "advance(", tokens, ") beyond the capacity ", capacity_);
  length_ += tokens;
}

void KvCache::truncate(int64_t length) {
  TORCH_INTERNAL_ASSERT(length >= 0 && length <= length_, "truncate(", length, ") of a cache of ", length_);
  length_ = length;
}

void KvCache::reserve(int64_t slots) {
  if (slots > options_.positions)
    throw InputError("KV cache of {} tokens: the model has positions for {}", slots, options_.positions);
  if (slots <= capacity_) return;
  const int64_t capacity = std::min((slots + kBlock - 1) / kBlock * kBlock, options_.positions);
  for (Layer& layer : layers_) {
    grow(layer.keys, capacity);
    grow(layer.values, capacity);
  }
  capacity_ = capacity;
}

void KvCache::grow(Buffer& buffer, int64_t capacity) const {
  if (buffer.heads == 0) return;
  const at::Tensor larger = at::empty({options_.batch, buffer.heads, capacity, head_width_},
                                      at::TensorOptions(options_.dtype).device(options_.device));
  if (length_ > 0) larger.narrow(2, 0, length_).copy_(buffer.data.narrow(2, 0, length_));
  buffer.data = larger;
}

at::Tensor KvCache::append(const Buffer& buffer, const at::Tensor& projected) const {
  if (buffer.heads == 0) return {};
  const OperationTimer timer("KV cache");
  const int64_t tokens = projected.size(2);
  buffer.data.narrow(2, length_, tokens).copy_(projected);
  return buffer.data.narrow(2, 0, length_ + tokens).to(options_.compute_dtype);
}

int64_t KvCache::bytes_per_token() const {
  int64_t heads = 0;
  for (const Layer& layer : layers_) heads += layer.keys.heads + layer.values.heads;
  return heads * head_width_ * static_cast<int64_t>(c10::elementSize(options_.dtype));
}

int64_t KvCache::bytes_allocated() const {
  int64_t bytes = 0;
  for (const Layer& layer : layers_)
    for (const Buffer* buffer : {&layer.keys, &layer.values})
      if (buffer->data.defined()) bytes += static_cast<int64_t>(buffer->data.nbytes());
  return bytes;
}

}  // namespace skipattn::inference
