#include "skipattn/attention/cuda/key_pattern.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <vector>

namespace skipattn::attention::cuda {
namespace {

using Kind = KeyPattern::Kind;

/// The rows of a causal first_key, one query after the other: what it says, and where the query's document would begin if
/// a query that sees nothing before itself begins one.
class Rows {
 public:
  Rows(const at::Tensor& first_key, int64_t keys)
      : data_(first_key.const_data_ptr<int32_t>()),
        batch_(first_key.size(0)),
        queries_(first_key.size(1)),
        keys_(keys) {}

  /// function(batch element, position, first key, document's start)
  template <typename Function>
  void for_each(const Function& function) const {
    for (int64_t b = 0; b < batch_; ++b) {
      int64_t start = 0;
      for (int64_t i = 0; i < queries_; ++i) {
        const int64_t position = keys_ - queries_ + i;
        const int64_t first = std::max<int64_t>(data_[b * queries_ + i], 0);
        if (keys_ == queries_ && first == position) start = position;
        function(b, position, first, start);
      }
    }
  }

 private:
  const int32_t* data_;
  int64_t batch_, queries_, keys_;
};

}  // namespace

KeyPattern find_key_pattern(const at::Tensor& first_key, int64_t keys, bool causal) {
  KeyPattern pattern;
  pattern.first_key = first_key;
  const at::Tensor host = first_key.to(at::kCPU).contiguous();
  const int32_t* data = host.const_data_ptr<int32_t>();
  if (std::all_of(data, data + host.numel(), [](int32_t first) { return first <= 0; })) return pattern;
  pattern.kind = Kind::kAny;
  const int64_t queries = host.size(1);
  if (!causal || queries > keys) return pattern;

  const Rows rows(host, keys);
  std::vector<int32_t> starts;
  int64_t widest = 0, longest = 0;
  rows.for_each([&](int64_t b, int64_t position, int64_t first, int64_t start) {
    widest = std::max(widest, position - first + 1);
    longest = std::max(longest, position - start + 1);
    if (start == position) starts.push_back(static_cast<int32_t>(b * queries + start));
  });
  bool regular = true;
  rows.for_each([&](int64_t, int64_t position, int64_t first, int64_t start) {
    regular = regular && first == std::max(start, position - widest + 1);
  });
  if (!regular || widest < 1) return pattern;
  if (widest < longest) pattern.window = widest;
  const bool documents = keys == queries && static_cast<int64_t>(starts.size()) > host.size(0);
  pattern.kind = documents ? Kind::kDocuments : Kind::kSequences;
  if (documents) {
    starts.push_back(static_cast<int32_t>(host.numel()));
    pattern.starts = at::tensor(starts, at::kInt).to(first_key.device());
    pattern.longest = longest;
  }
  return pattern;
}

KeyPattern known_key_pattern(int64_t queries, int64_t window, const at::Tensor& first_key,
                             const DocumentStarts& documents) {
  KeyPattern pattern;
  pattern.window = window < queries ? window : 0;
  pattern.first_key = first_key;
  if (documents.starts.defined()) {
    pattern.kind = Kind::kDocuments;
    pattern.starts = documents.starts;
    pattern.longest = documents.longest;
  }
  return pattern;
}

namespace {

/// The patterns of the tensors met last.
class PatternCache {
 public:
  std::shared_ptr<const KeyPattern> get(const at::Tensor& first_key, int64_t keys, bool causal) {
    const std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_)
      if (entry.pattern && entry.pattern->first_key.is_same(first_key) && entry.version == first_key._version() &&
          entry.keys == keys && entry.causal == causal)
        return entry.pattern;
    Entry& entry = entries_[next_++ % entries_.size()];
    entry = {std::make_shared<KeyPattern>(find_key_pattern(first_key, keys, causal)), first_key._version(), keys,
             causal};
    return entry.pattern;
  }

 private:
  struct Entry {
    std::shared_ptr<const KeyPattern> pattern;  // holds the tensor, so that no other takes its place
    int64_t version = 0;
    int64_t keys = 0;
    bool causal = true;
  };
  std::mutex mutex_;
  std::array<Entry, 8> entries_;
  size_t next_ = 0;
};

}  // namespace

std::shared_ptr<const KeyPattern> key_pattern_of(const Options& options, int64_t keys) {
  static const auto plain = std::make_shared<const KeyPattern>();
  if (!options.first_key) return plain;
  if (options.first_key->is_inference())  // has no version
    return std::make_shared<const KeyPattern>(find_key_pattern(*options.first_key, keys, options.causal));
  // Never destroyed: at exit the device may be gone before the tensors.
  static auto& cache = *new PatternCache;
  return cache.get(*options.first_key, keys, options.causal);
}

}  // namespace skipattn::attention::cuda
