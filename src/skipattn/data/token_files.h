// Many token files as one stream of tokens and documents, memory-mapped: what training and
// evaluation read.
//
//   const TokenFiles corpus({"data/train-*.bin"});
//   corpus.copy(0, 1024, ids.data());                          // across file ends too
//   corpus.document_start(corpus.document_at(5000));
//
// All const members may be called from several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "skipattn/data/token_shard.h"

namespace skipattn::data {

struct TokenFilesOptions {
  /// The token that ends a document, for files without a side-car; with side-cars it must agree
  /// with theirs. Not given: such files are one document each stream.
  std::optional<int64_t> end_of_text;
  /// Compare every file with its checksum now, which reads all of it.
  bool verify_checksums = false;
};

class TokenFiles {
 public:
  /// Opens files in the order given. Each pattern is a path, a glob (`*`, `?`, `[…]`; matches in
  /// name order), or a folder (its *.bin in name order). Throws InputError that lists every fault:
  /// nothing matches, a file is not sound (token_shard.h), ids of two widths or two vocabularies,
  /// some with and some without a side-car.
  explicit TokenFiles(const std::vector<std::string>& patterns, const TokenFilesOptions& options = {});

  /// Tokens of all files together.
  uint64_t tokens() const { return token_base_.back(); }
  /// Bytes of the text behind the tokens; 0 when there is no side-car to say.
  uint64_t text_bytes() const;
  /// Of the side-cars; 0 when there are none.
  int64_t vocab_size() const;
  uint64_t vocab_hash() const;
  std::optional<int64_t> end_of_text() const { return end_of_text_; }
  const std::vector<std::unique_ptr<TokenShard>>& shards() const { return shards_; }
  /// "'train.bin'" or "'data/*.bin' (12 files)", for messages.
  const std::string& description() const { return description_; }
  /// "token 17 of 'train-01.bin'": a place in the stream, for messages.
  std::string describe_place(uint64_t token) const;

  /// Writes tokens [begin, begin + count) to `out`. std::out_of_range beyond the end.
  void copy(uint64_t begin, uint64_t count, uint32_t* out) const;
  void copy(uint64_t begin, uint64_t count, int64_t* out) const;

  /// True when document boundaries are known: from side-cars, or by looking for the end-of-text
  /// token.
  bool documents_known() const { return has_side_cars() || end_of_text_.has_value(); }
  /// How many documents; 1 when their boundaries are not known. The first call on files without
  /// side-cars reads them all.
  uint64_t documents() const;
  /// Where a document begins, in tokens; `document` = documents() gives tokens().
  uint64_t document_start(uint64_t document) const;
  /// Which document holds a token.
  uint64_t document_at(uint64_t token) const;

 private:
  bool has_side_cars() const { return shards_.front()->info().has_value(); }
  void check_agreement(const TokenFilesOptions& options);
  void index_documents() const;
  template <typename T>
  void copy_across(uint64_t begin, uint64_t count, T* out) const;
  size_t shard_of(uint64_t token) const;

  std::string description_;
  std::vector<std::unique_ptr<TokenShard>> shards_;
  std::vector<uint64_t> token_base_;  // [files + 1] tokens before each file
  std::optional<int64_t> end_of_text_;

  // Made at the first question about documents.
  mutable std::once_flag indexed_;
  mutable std::vector<std::vector<uint64_t>> found_;       // [files] starts found by scanning
  mutable std::vector<std::span<const uint64_t>> starts_;  // [files] document starts, from the file's first token
  mutable std::vector<uint64_t> document_base_;            // [files + 1] documents that begin before each file
};

}  // namespace skipattn::data
