// Asks for memory that will be read soon, a little at a time: what a worker does while it waits for others, as the memory
// would be idle on its behalf.
//
//   Prefetcher prefetcher;
//   prefetcher.add(rows, bytes);
//   pool.barrier([&] { return prefetcher.step(); });
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace skipattn::inference {

class Prefetcher {
 public:
  /// More than this is not asked for: it must still be in a second-level cache when it is read.
  static constexpr int64_t kMostBytes = 128 << 10;
  /// Bytes of a step.
  static constexpr int64_t kStep = 512;

  /// Forgets everything.
  void clear() {
    pieces_.clear();
    bytes_ = 0;
    piece_ = 0;
    offset_ = 0;
  }
  /// These bytes come after those added before. Only what kMostBytes leaves of them is taken.
  void add(const void* from, int64_t bytes) {
    bytes = std::min(bytes, kMostBytes - bytes_);
    if (bytes <= 0) return;
    pieces_.push_back({static_cast<const char*>(from), bytes});
    bytes_ += bytes;
  }
  /// Bytes that have been added and may be asked for.
  int64_t bytes() const { return bytes_; }
  bool is_full() const { return bytes_ == kMostBytes; }

  /// Asks for the next bytes. False: there are no more.
  bool step() {
    if (piece_ == pieces_.size()) return false;
    const Piece& piece = pieces_[piece_];
    const int64_t end = std::min(piece.bytes, offset_ + kStep);
    for (; offset_ < end; offset_ += 64) __builtin_prefetch(piece.from + offset_);
    if (offset_ >= piece.bytes) {
      ++piece_;
      offset_ = 0;
    }
    return true;
  }

 private:
  struct Piece {
    const char* from;
    int64_t bytes;
  };
  std::vector<Piece> pieces_;
  int64_t bytes_ = 0;
  size_t piece_ = 0;    // at hand
  int64_t offset_ = 0;  // within it
};

}  // namespace skipattn::inference
