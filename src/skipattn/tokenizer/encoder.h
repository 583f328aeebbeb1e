// One thread's working memory for encoding: the caches and a buffer. Kept and handed out by
// Tokenizer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/merge_table.h"
#include "skipattn/tokenizer/pretoken_cache.h"

namespace skipattn::tokenizer {

/// Encodes texts with one merge table. Not for several threads at once.
class Encoder {
 public:
  /// `merges` must outlive the encoder.
  explicit Encoder(const MergeTable& merges) : merges_(merges) {}

  /// Appends the ids of `text`; added tokens are not looked for.
  void encode(std::string_view text, std::vector<uint32_t>& ids);

 private:
  template <typename Cache>
  const typename Cache::Entry* look_up(Cache& cache, const typename Cache::Key& key, std::string_view pretoken);

  const MergeTable& merges_;
  std::vector<uint32_t> merged_;         // ids of the pre-token merged last
  PretokenCache<2, 3, 15> short_cache_;  // up to 15 bytes and 3 ids, 65536 entries of 32 bytes
  PretokenCache<8, 15, 12> long_cache_;  // up to 63 bytes and 15 ids, 8192 entries of 128 bytes
};

}  // namespace skipattn::tokenizer
