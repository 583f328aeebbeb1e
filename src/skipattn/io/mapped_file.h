// A file's bytes as memory, read only. The kernel reads pages when they are touched and drops them
// when memory is short, so a file larger than the machine's memory is no trouble. The file must not
// be cut short while it is mapped.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace skipattn::io {

class MappedFile {
 public:
  /// An empty mapping.
  MappedFile() = default;
  /// Maps the whole file. Throws InputError when there is no such file or it is a folder, RunError
  /// when the machine cannot read it.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  /// The whole file; stays where it is when this object is moved.
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace skipattn::io
