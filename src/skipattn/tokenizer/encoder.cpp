#include "skipattn/tokenizer/encoder.h"

#include <array>
#include <cstring>

#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::tokenizer {
namespace {

/// Gathers ids where appending is one store, and hands them to the vector in blocks.
class IdBuffer {
 public:
  explicit IdBuffer(std::vector<uint32_t>& out) : out_(out) {}

  /// Always copies kMost ids, of which `count` are meant: a copy of known size is faster.
  template <std::size_t kMost>
  void append(const std::array<uint32_t, kMost>& ids, uint32_t count) {
    static_assert(kMost < kRoom);
    if (used_ + kMost > kRoom) flush();
    std::memcpy(&ids_[used_], ids.data(), sizeof(ids));
    used_ += count;
  }
  void append(const std::vector<uint32_t>& ids) {
    flush();
    out_.insert(out_.end(), ids.begin(), ids.end());
  }
  void flush() {
    out_.insert(out_.end(), ids_.begin(), ids_.begin() + used_);
    used_ = 0;
  }

 private:
  static constexpr std::size_t kRoom = 2048;
  std::vector<uint32_t>& out_;
  std::array<uint32_t, kRoom> ids_;
  std::size_t used_ = 0;
};

}  // namespace

template <typename Cache>
const typename Cache::Entry* Encoder::look_up(Cache& cache, const typename Cache::Key& key, std::string_view pretoken) {
  if (const auto* entry = cache.find(key)) return entry;
  merged_.clear();
  merges_.merge(pretoken, merged_);
  if (merged_.size() > Cache::kMaxTokens) return nullptr;
  cache.insert(key, merged_);
  return cache.find(key);
}

void Encoder::encode(std::string_view text, std::vector<uint32_t>& ids) {
  IdBuffer buffer(ids);
  PretokenScanner scanner(text);
  const char* const end = text.data() + text.size();
  for (std::string_view pretoken; scanner.next(pretoken);) {
    if (pretoken.size() <= kLongestKey<2>) {
      const auto* entry = look_up(short_cache_, make_key<2>(pretoken, end), pretoken);
      if (entry) {
        buffer.append(entry->ids, entry->count);
        continue;
      }
    }
    if (pretoken.size() <= kLongestKey<8>) {
      const auto* entry = look_up(long_cache_, make_key<8>(pretoken, end), pretoken);
      if (entry) {
        buffer.append(entry->ids, entry->count);
        continue;
      }
    }
    merged_.clear();
    merges_.merge(pretoken, merged_);
    buffer.append(merged_);
  }
  buffer.flush();
}

}  // namespace skipattn::tokenizer
