// Reading files and standard input as streams in bounded memory, unpacked on the way: gzip, zstd
// and xz are told by their first bytes, not by their names, and several packed streams one after
// another are read as one.
//
//   const auto input = open_input("corpus.jsonl.zst");
//   while (const size_t count = input->read(buffer)) use(buffer.first(count));
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>

namespace skipattn::io {

/// Bytes that come one after another. Not for several threads at once.
class InputStream {
 public:
  virtual ~InputStream() = default;
  /// Fills the front of `out`, whole unless the end comes; returns how many bytes, 0 only at the
  /// end (or out empty). Throws InputError when packed data is cut short or damaged, RunError when
  /// the machine cannot read.
  virtual size_t read(std::span<char> out) = 0;
  /// Bytes taken from the file itself so far (packed bytes where it is packed).
  virtual uint64_t file_bytes() const = 0;
};

/// Opens a file, or standard input for "-", and unpacks it where it is packed.
/// Throws InputError when there is no such file or it is a folder.
std::unique_ptr<InputStream> open_input(const std::filesystem::path& path);

/// A whole file in memory, unpacked. Throws InputError when it holds more than `limit` bytes.
std::string read_file(const std::filesystem::path& path, uint64_t limit = std::numeric_limits<uint64_t>::max());

/// A file descriptor open for reading, closed on exec, the caller's to close. Throws as
/// open_input() does.
int open_for_reading(const std::filesystem::path& path);

}  // namespace skipattn::io
