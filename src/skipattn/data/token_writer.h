// Writing a token file with its side-car and offsets, as a stream. Nothing is seen under the final
// names before commit(), and the side-car comes last: where it is, the rest is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "skipattn/data/token_format.h"

namespace skipattn::data {

/// What the ids of a token file mean.
struct TokenMeaning {
  int64_t vocab_size = 0;              ///< 1 or more; decides between uint16 and uint32
  uint64_t vocab_hash = 0;             ///< Tokenizer::hash()
  std::optional<int64_t> end_of_text;  ///< added after every document when given
};

class TokenFileWriter {
 public:
  /// Throws RunError when the folder cannot be written.
  TokenFileWriter(const std::filesystem::path& path, const TokenMeaning& meaning);
  ~TokenFileWriter();

  /// Adds tokens to the document at hand. std::logic_error for an id outside the vocabulary.
  void append(std::span<const uint32_t> ids);
  /// Ends the document at hand, whose text had so many bytes. One without tokens leaves no trace.
  void end_document(uint64_t bytes);
  /// The figures so far (checksum and offsets name only after commit()).
  const TokenFileInfo& info() const { return info_; }
  /// Makes the three files appear. std::logic_error inside a document.
  void commit();

 private:
  struct Streams;

  void put(std::span<const uint32_t> ids);

  std::filesystem::path path_;
  TokenFileInfo info_;
  uint64_t document_start_ = 0;
  std::unique_ptr<Streams> streams_;
};

}  // namespace skipattn::data
