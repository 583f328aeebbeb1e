// One token file, memory-mapped and checked. TokenFiles joins many of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "skipattn/data/token_format.h"
#include "skipattn/io/mapped_file.h"

namespace skipattn::data {

class TokenShard {
 public:
  /// Throws InputError, one sentence with the path, when the file is absent, empty, of odd size, or
  /// does not agree with its side-car or header.
  explicit TokenShard(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  uint64_t tokens() const { return tokens_; }
  int token_bytes() const { return token_bytes_; }
  /// The side-car, when there is one.
  const std::optional<TokenFileInfo>& info() const { return info_; }
  /// Where the side-car's documents begin, in tokens; the first is 0. Empty without a side-car.
  std::span<const uint64_t> document_starts() const;

  /// Writes tokens [begin, begin + count) to `out`, widened to T. The range must lie inside the
  /// shard.
  template <typename T>
  void copy(uint64_t begin, uint64_t count, T* out) const {
    if (token_bytes_ == 2) {
      widen(narrow().subspan(begin, count), out);
    } else {
      widen(wide().subspan(begin, count), out);
    }
  }

  /// Where else documents begin when each ends in `end_of_text`: the places after that token, the
  /// shard's own end included. Reads the whole file.
  std::vector<uint64_t> places_after(int64_t end_of_text) const;

  /// Reads the whole file; throws InputError when it is not what the side-car's checksum says.
  void verify_checksum() const;

 private:
  void check_side_car();
  std::span<const uint16_t> narrow() const { return {reinterpret_cast<const uint16_t*>(data_.data()), tokens_}; }
  std::span<const uint32_t> wide() const { return {reinterpret_cast<const uint32_t*>(data_.data()), tokens_}; }
  template <typename S, typename T>
  static void widen(std::span<const S> from, T* out) {
    for (size_t i = 0; i < from.size(); ++i) out[i] = static_cast<T>(from[i]);
  }

  std::filesystem::path path_;
  io::MappedFile file_;
  io::MappedFile offsets_;
  std::optional<TokenFileInfo> info_;
  std::span<const std::byte> data_;  // the ids, without a header
  uint64_t tokens_ = 0;
  int token_bytes_ = 2;
};

}  // namespace skipattn::data
