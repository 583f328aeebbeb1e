#include "skipattn/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "skipattn/core/errors.h"
#include "skipattn/io/compressed_stream.h"

namespace skipattn::io {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int descriptor = open_for_reading(path);
  struct stat status {};
  void* address = nullptr;
  int error = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  size_ = static_cast<size_t>(status.st_size);
  if (error == 0 && size_ > 0) {
    address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) error = errno;
  }
  ::close(descriptor);
  if (error != 0) throw RunError("cannot map '{}': {}", path.string(), std::strerror(error));
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace skipattn::io
