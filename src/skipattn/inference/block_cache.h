// The keys and values of the tokens so far, in blocks that never move: a block holds kBlockRows positions of one sequence
// for all live K and V heads of all layers; what nobody reads has no place in it. Blocks of sequences that ended are used
// again by others; sequences that begin alike share theirs.
//
//   BlockPool pool(CacheLayout(plan, head_width, Dtype::kBf16));
//   CachedSequence sequence(pool, 1024);           // up to 1024 positions
//   sequence.reserve(5);                           // memory for 5 positions
//   sequence.store(layout.key_slot(layer, head), position, numbers);
//
// Within a block the rows of a head lie one after the other: [layer][keys, then values][slot][kBlockRows][d], then, for
// int8, the scales [slot][kBlockRows] in fp32.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skipattn/inference/cpu/attend_cached.h"
#include "skipattn/inference/dtype.h"
#include "skipattn/inference/memory.h"
#include "skipattn/routing/plan.h"

namespace skipattn::inference {

using cpu::kBlockRows;

/// Where everything lies in a block.
class CacheLayout {
 public:
  CacheLayout(const routing::Plan& plan, int64_t head_width, Dtype dtype);

  Dtype dtype() const { return dtype_; }
  int64_t head_width() const { return head_width_; }
  /// Bytes one position takes: (live K heads + live V heads) * (d * bytes of the dtype, and 4 for int8's scale).
  int64_t bytes_per_token() const { return slots_ * (head_width_ * bytes_of(dtype_) + scale_bytes()); }
  int64_t block_bytes() const { return kBlockRows * bytes_per_token(); }

  /// A slot is a live head of one layer's keys, or of its values, counted over all layers.
  int64_t key_slot(int64_t layer, int64_t slot) const { return first_key_.at(layer) + slot; }
  int64_t value_slot(int64_t layer, int64_t slot) const { return first_value_.at(layer) + slot; }
  /// Bytes from a block's beginning to the slot's row 0, and to its scales.
  int64_t rows_offset(int64_t slot) const { return slot * kBlockRows * head_width_ * bytes_of(dtype_); }
  int64_t scales_offset(int64_t slot) const { return rows_offset(slots_) + slot * kBlockRows * 4; }

 private:
  int64_t scale_bytes() const { return dtype_ == Dtype::kInt8 ? 4 : 0; }

  Dtype dtype_;
  int64_t head_width_;
  int64_t slots_ = 0;
  std::vector<int64_t> first_key_, first_value_;  // [L]
};

/// Takes memory by the slab and gives it out by the block.
class BlockPool {
 public:
  explicit BlockPool(CacheLayout layout) : layout_(std::move(layout)) {}

  const CacheLayout& layout() const { return layout_; }
  /// A block whose numbers are finite. Throws RunError when there is no memory.
  char* take();
  /// One more owner, who gives it back too. Nobody may write to a shared block.
  void share(char* block) { ++more_owners_[block]; }
  bool is_shared(char* block) const { return more_owners_.contains(block); }
  void give_back(char* block);
  int64_t blocks_in_use() const { return total_ - static_cast<int64_t>(free_.size()); }

 private:
  void add_slab();

  CacheLayout layout_;
  std::vector<LargeMemory> slabs_;
  std::vector<char*> free_;
  std::unordered_map<char*, int> more_owners_;  // than one
  int64_t total_ = 0;
};

/// One sequence's blocks. The pool must outlive it.
class CachedSequence {
 public:
  CachedSequence(BlockPool& pool, int64_t positions) : pool_(&pool), positions_(positions) {}
  ~CachedSequence();
  CachedSequence(CachedSequence&& other) noexcept;
  CachedSequence& operator=(CachedSequence&& other) noexcept;

  /// Another sequence that holds the same so far. They share blocks, but those that one of them goes on in.
  CachedSequence fork() const;

  /// Positions that hold tokens.
  int64_t length() const { return length_; }
  /// Takes the blocks for positions up to `length`, shared ones from length() on for itself. They become part of the
  /// sequence when stored and advanced to. Throws InputError beyond the positions given to the constructor.
  void reserve(int64_t length);
  /// The sequence now is this long, at most what is reserved. Shorter: what is behind is forgotten, its blocks given back.
  void set_length(int64_t length);

  int64_t bytes_held() const { return length_ * pool_->layout().bytes_per_token(); }
  int64_t bytes_allocated() const { return static_cast<int64_t>(blocks_.size()) * pool_->layout().block_bytes(); }

  /// Rounds a row into its place.
  void store(int64_t slot, int64_t position, const float* numbers);
  /// Positions [begin, end) of one block of a key slot and a value slot.
  cpu::CachedRows rows(int64_t key_slot, int64_t value_slot, int64_t begin, int64_t end) const;
  const char* slot_rows(int64_t slot, int64_t block) const {
    return blocks_[static_cast<size_t>(block)] + pool_->layout().rows_offset(slot);
  }
  const float* slot_scales(int64_t slot, int64_t block) const;

 private:
  void release(size_t blocks_kept);

  BlockPool* pool_;
  int64_t positions_;
  std::vector<char*> blocks_;
  int64_t length_ = 0;
};

}  // namespace skipattn::inference
