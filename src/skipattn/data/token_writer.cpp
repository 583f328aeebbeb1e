#include "skipattn/data/token_writer.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <stdexcept>

#include "skipattn/io/atomic_file.h"

namespace skipattn::data {

struct TokenFileWriter::Streams {
  explicit Streams(const std::filesystem::path& path)
      : tokens(path), offsets(offsets_path(path)), hash(::XXH3_createState(), ::XXH3_freeState) {
    ::XXH3_64bits_reset(hash.get());
  }

  io::AtomicFileWriter tokens;
  io::AtomicFileWriter offsets;
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> hash;
  std::vector<uint16_t> narrow;
};

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, const TokenMeaning& meaning)
    : path_(path), streams_(std::make_unique<Streams>(path)) {
  info_.token_bytes = meaning.vocab_size <= kMaxNarrowVocabulary ? 2 : 4;
  info_.vocab_size = meaning.vocab_size;
  info_.vocab_hash = meaning.vocab_hash;
  info_.end_of_text = meaning.end_of_text;
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::put(std::span<const uint32_t> ids) {
  std::span<const std::byte> bytes = std::as_bytes(ids);
  if (info_.token_bytes == 2) {
    streams_->narrow.assign(ids.begin(), ids.end());
    bytes = std::as_bytes(std::span<const uint16_t>(streams_->narrow));
  }
  ::XXH3_64bits_update(streams_->hash.get(), bytes.data(), bytes.size());
  streams_->tokens.write(bytes);
  info_.tokens += ids.size();
}

void TokenFileWriter::append(std::span<const uint32_t> ids) {
  const auto outside = [&](uint32_t id) { return id >= info_.vocab_size; };
  if (std::any_of(ids.begin(), ids.end(), outside))
    throw std::logic_error("TokenFileWriter: id outside the vocabulary");
  put(ids);
}

void TokenFileWriter::end_document(uint64_t bytes) {
  if (info_.tokens == document_start_) return;
  if (info_.end_of_text) {
    const auto end = static_cast<uint32_t>(*info_.end_of_text);
    put({&end, 1});
  }
  streams_->offsets.write(std::as_bytes(std::span<const uint64_t>(&document_start_, 1)));
  document_start_ = info_.tokens;
  info_.bytes += bytes;
  ++info_.documents;
}

void TokenFileWriter::commit() {
  if (info_.tokens != document_start_) throw std::logic_error("TokenFileWriter: committed inside a document");
  info_.checksum = ::XXH3_64bits_digest(streams_->hash.get());
  info_.offsets = offsets_path(path_).filename().string();
  streams_->offsets.commit();
  streams_->tokens.commit();
  write_side_car(path_, info_);
}

}  // namespace skipattn::data
