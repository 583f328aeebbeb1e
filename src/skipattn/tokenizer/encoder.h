// One thread's working memory for encoding: the caches and buffers. Kept and handed out by Tokenizer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/encoding_tables.h"
#include "skipattn/tokenizer/pretoken_cache.h"

namespace skipattn::tokenizer {

class IdBuffer;

/// What a text is.
struct TextKind {
  bool begins = true;         ///< false: a later part of a document that was cut
  bool with_special = false;  ///< the texts of special tokens are these tokens
};

/// Encodes texts with one vocabulary. Not for several threads at once.
class Encoder {
 public:
  /// `tables` must outlive the encoder.
  explicit Encoder(const EncodingTables& tables) : tables_(tables), splitter_(tables.steps) {}

  /// Appends the ids of `text`.
  void encode(std::string_view text, TextKind kind, std::vector<uint32_t>& ids);

 private:
  void encode_normalized(std::string_view section, bool first, TextKind kind, IdBuffer& buffer);
  void encode_section(std::string_view section, bool first, TextKind kind, IdBuffer& buffer);
  void encode_pretoken(std::string_view pretoken, const char* end, IdBuffer& buffer);
  void merge(std::string_view pretoken);
  template <typename Cache>
  const typename Cache::Entry* look_up(Cache& cache, const typename Cache::Key& key, std::string_view pretoken);

  const EncodingTables& tables_;
  PretokenSplitter splitter_;
  std::string buffers_[2];               // of normalized()
  std::string prefixed_;                 // a section with a space before it
  std::vector<uint32_t> merged_;         // ids of the pre-token merged last
  PretokenCache<2, 3, 15> short_cache_;  // up to 15 bytes and 3 ids, 65536 entries of 32 bytes
  PretokenCache<8, 15, 12> long_cache_;  // up to 63 bytes and 15 ids, 8192 entries of 128 bytes
};

}  // namespace skipattn::tokenizer
