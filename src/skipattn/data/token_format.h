// How a tokenized corpus lies on the disk (docs/data.md):
//   X.bin          token ids one after another, little-endian uint16 (vocabularies up to 65536)
//                  or uint32; nothing else, so that it is also nanoGPT's form
//   X.bin.json     the side-car: what the ids mean and how many there are; written last
//   X.bin.offsets  uint64 for each document: at which token it begins
// A document is followed by the end-of-text token when the tokenizer has one; that token belongs to
// it. llm.c's files (a header of 256 int32, then ids) and nanoGPT's (no side-car) are read too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace skipattn::data {

/// Vocabularies up to this size are stored as uint16.
inline constexpr int64_t kMaxNarrowVocabulary = 65536;

/// The side-car of a token file.
struct TokenFileInfo {
  int token_bytes = 2;  ///< 2 or 4
  uint64_t tokens = 0;  ///< end-of-text tokens included
  uint64_t bytes = 0;   ///< of the text that was tokenized
  uint64_t documents = 0;
  int64_t vocab_size = 0;              ///< ids are below it
  uint64_t vocab_hash = 0;             ///< Tokenizer::hash()
  std::optional<int64_t> end_of_text;  ///< id of the token after each document
  uint64_t checksum = 0;               ///< XXH3 (64 bits) of X.bin
  std::string offsets;                 ///< name of the offsets file, which lies beside X.bin

  bool operator==(const TokenFileInfo&) const = default;
};

/// "X.bin" -> "X.bin.json".
std::filesystem::path side_car_path(const std::filesystem::path& tokens);
/// "X.bin" -> "X.bin.offsets".
std::filesystem::path offsets_path(const std::filesystem::path& tokens);

/// Writes the side-car of `tokens` atomically.
void write_side_car(const std::filesystem::path& tokens, const TokenFileInfo& info);
/// Reads the side-car of `tokens`; nothing when there is none. Throws InputError naming the
/// side-car and the fault.
std::optional<TokenFileInfo> read_side_car(const std::filesystem::path& tokens);

/// llm.c's header (dev/data/data_common.py there): magic 20240520, version 1, uint16; magic
/// 20240801, version 7, uint32.
struct LlmcHeader {
  static constexpr size_t kBytes = 1024;
  int token_bytes = 2;
  uint64_t tokens = 0;
};

/// The header, or nothing when the bytes do not begin with one of its magic numbers. Throws
/// InputError on a version or a length that is not right; `path` is for the message.
std::optional<LlmcHeader> read_llmc_header(std::span<const std::byte> file, const std::filesystem::path& path);

}  // namespace skipattn::data
