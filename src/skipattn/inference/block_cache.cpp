#include "skipattn/inference/block_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "skipattn/core/errors.h"

namespace skipattn::inference {

namespace {

constexpr int64_t kSlabBytes = int64_t{8} << 20;  // and at least one block

}  // namespace

CacheLayout::CacheLayout(const routing::Plan& plan, int64_t head_width, Dtype dtype)
    : dtype_(dtype), head_width_(head_width) {
  for (const routing::LayerPlan& layer : plan.layers) {
    first_key_.push_back(slots_);
    slots_ += static_cast<int64_t>(layer.live_keys.size());
    first_value_.push_back(slots_);
    slots_ += static_cast<int64_t>(layer.live_values.size());
  }
}

char* BlockPool::take() {
  if (free_.empty()) add_slab();
  char* block = free_.back();
  free_.pop_back();
  return block;
}

void BlockPool::add_slab() {
  const int64_t bytes = std::max<int64_t>(layout_.block_bytes(), 64);
  // The first slab is one block, so that a short text takes little.
  const int64_t blocks = slabs_.empty() ? 1 : std::max<int64_t>(1, kSlabBytes / bytes);
  slabs_.push_back(LargeMemory(blocks * bytes + cpu::kSlack));
  for (int64_t i = blocks - 1; i >= 0; --i) free_.push_back(slabs_.back().data() + i * bytes);
  total_ += blocks;
}

void BlockPool::give_back(char* block) {
  const auto shared = more_owners_.find(block);
  if (shared == more_owners_.end()) return free_.push_back(block);
  if (--shared->second == 0) more_owners_.erase(shared);
}

CachedSequence::~CachedSequence() {
  release(0);
}

CachedSequence::CachedSequence(CachedSequence&& other) noexcept
    : pool_(other.pool_),
      positions_(other.positions_),
      blocks_(std::exchange(other.blocks_, {})),
      length_(std::exchange(other.length_, 0)) {}

CachedSequence& CachedSequence::operator=(CachedSequence&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(positions_, other.positions_);
  std::swap(blocks_, other.blocks_);
  std::swap(length_, other.length_);
  return *this;
}

void CachedSequence::release(size_t blocks_kept) {
  while (blocks_.size() > blocks_kept) {
    pool_->give_back(blocks_.back());
    blocks_.pop_back();
  }
}

void CachedSequence::reserve(int64_t length) {
  if (length > positions_)
    throw InputError("KV cache of {} tokens: the model has positions for {}", length, positions_);
  for (size_t i = static_cast<size_t>(length_ / kBlockRows); i < blocks_.size(); ++i) {
    if (!pool_->is_shared(blocks_[i])) continue;
    char* own = pool_->take();
    std::memcpy(own, blocks_[i], static_cast<size_t>(pool_->layout().block_bytes()));
    pool_->give_back(std::exchange(blocks_[i], own));
  }
  while (static_cast<int64_t>(blocks_.size()) * kBlockRows < length) blocks_.push_back(pool_->take());
}

CachedSequence CachedSequence::fork() const {
  CachedSequence other(*pool_, positions_);
  other.blocks_.assign(blocks_.begin(), blocks_.begin() + (length_ + kBlockRows - 1) / kBlockRows);
  for (char* block : other.blocks_) pool_->share(block);
  other.length_ = length_;
  return other;
}

void CachedSequence::set_length(int64_t length) {
  if (length < length_) release(static_cast<size_t>((length + kBlockRows - 1) / kBlockRows));
  length_ = length;
}

void CachedSequence::store(int64_t slot, int64_t position, const float* numbers) {
  const CacheLayout& layout = pool_->layout();
  char* block = blocks_[static_cast<size_t>(position / kBlockRows)];
  const int64_t row = position % kBlockRows;
  const float scale =
      cpu::store_row(layout.dtype(), numbers, layout.head_width(),
                     block + layout.rows_offset(slot) + row * layout.head_width() * bytes_of(layout.dtype()));
  if (layout.dtype() == Dtype::kInt8) reinterpret_cast<float*>(block + layout.scales_offset(slot))[row] = scale;
}

const float* CachedSequence::slot_scales(int64_t slot, int64_t block) const {
  if (pool_->layout().dtype() != Dtype::kInt8) return nullptr;
  return reinterpret_cast<const float*>(blocks_[static_cast<size_t>(block)] + pool_->layout().scales_offset(slot));
}

cpu::CachedRows CachedSequence::rows(int64_t key_slot, int64_t value_slot, int64_t begin, int64_t end) const {
  const int64_t block = begin / kBlockRows;
  cpu::CachedRows rows;
  rows.keys = slot_rows(key_slot, block);
  rows.values = slot_rows(value_slot, block);
  rows.key_scales = slot_scales(key_slot, block);
  rows.value_scales = slot_scales(value_slot, block);
  rows.begin = static_cast<int>(begin - block * kBlockRows);
  rows.end = static_cast<int>(end - block * kBlockRows);
  return rows;
}

}  // namespace skipattn::inference
