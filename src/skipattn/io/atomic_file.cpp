#include "skipattn/io/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "skipattn/core/errors.h"

namespace skipattn::io {

namespace {

constexpr size_t kBufferBytes = 1 << 20;
constexpr std::string_view kPartial = ".skipattn-partial";  // being written
constexpr std::string_view kReplaced = ".skipattn-old";     // a folder that is being replaced
constexpr size_t kTagLength = 9;                            // "." and eight hexadecimal digits

[[noreturn]] void throw_failure(const fs::path& path, int error) {
  throw RunError("cannot write '{}': {}", path.string(), std::strerror(error));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// ".NAME.xxxxxxxx.skipattn-partial" beside `path`.
fs::path temporary_name(const fs::path& path, std::string_view suffix) {
  std::random_device device;
  return folder_of(path) / fmt::format(".{}.{:08x}{}", path.filename().string(), device(), suffix);
}

void sync_descriptor(int descriptor, const fs::path& blamed) {
  // Some file systems cannot sync a folder and say EINVAL; there is nothing better to do on them.
  if (::fsync(descriptor) != 0 && errno != EINVAL) throw_failure(blamed, errno);
}

void sync_path(const fs::path& path, const fs::path& blamed) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_failure(blamed, errno);
  try {
    sync_descriptor(descriptor, blamed);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
}

void sync_tree(const fs::path& root, const fs::path& blamed) {
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (!entry.is_symlink() && (entry.is_regular_file() || entry.is_directory())) sync_path(entry.path(), blamed);
  sync_path(root, blamed);
}

// The writer of a temporary holds this lock for life; the kernel lets go of it when the process
// dies, on whatever machine it ran. A cleaner may have taken a name between its making and its
// locking: then the name is gone and false comes back.
bool lock_as_ours(int descriptor, const fs::path& path) {
  ::flock(descriptor, LOCK_EX | LOCK_NB);
  struct stat by_name {
  }, by_descriptor{};
  return ::stat(path.c_str(), &by_name) == 0 && ::fstat(descriptor, &by_descriptor) == 0 &&
         by_name.st_ino == by_descriptor.st_ino;
}

bool is_abandoned(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool abandoned = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  ::close(descriptor);
  return abandoned;
}

// The target's name inside a temporary's name; "" when `name` is not one of ours.
std::string target_of(std::string_view name, std::string_view suffix) {
  if (!name.starts_with('.') || !name.ends_with(suffix)) return "";
  name = name.substr(1, name.size() - 1 - suffix.size());
  return name.size() > kTagLength ? std::string(name.substr(0, name.size() - kTagLength)) : "";
}

// Where folders cannot be exchanged in one step.
void replace_in_two_steps(const fs::path& from, const fs::path& final) {
  const fs::path old = temporary_name(final, kReplaced);
  const int lock = ::open(final.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (lock >= 0) ::flock(lock, LOCK_EX | LOCK_NB);
  int error = 0;
  if (::rename(final.c_str(), old.c_str()) != 0) {
    error = errno;
  } else if (::rename(from.c_str(), final.c_str()) != 0) {
    error = errno;
    ::rename(old.c_str(), final.c_str());
  }
  if (lock >= 0) ::close(lock);
  if (error != 0) throw_failure(final, error);
  sync_path(folder_of(final), final);
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

}  // namespace

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFileWriter writer(path);
  writer.write(bytes);
  writer.commit();
}

AtomicFileWriter::AtomicFileWriter(fs::path path) : path_(std::move(path)) {
  for (;;) {
    temporary_ = temporary_name(path_, kPartial);
    descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) throw_failure(path_, errno);
    if (lock_as_ours(descriptor_, temporary_)) return;
    ::close(descriptor_);
  }
}

AtomicFileWriter::~AtomicFileWriter() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void AtomicFileWriter::fail(int error) {
  ::unlink(temporary_.c_str());
  ::close(std::exchange(descriptor_, -1));
  throw_failure(path_, error);
}

void AtomicFileWriter::write_out(uint64_t offset, const char* bytes, size_t count) {
  if (descriptor_ < 0) throw std::logic_error("AtomicFileWriter: written to after its end");
  while (count > 0) {
    const ssize_t done = ::pwrite(descriptor_, bytes, count, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail(errno);
    bytes += done;
    count -= static_cast<size_t>(done);
    offset += static_cast<uint64_t>(done);
  }
}

void AtomicFileWriter::flush() {
  write_out(size_ - buffer_.size(), buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFileWriter::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_out(size_, bytes.data(), bytes.size());
  } else {
    buffer_.append(bytes);
  }
  size_ += bytes.size();
}

void AtomicFileWriter::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void AtomicFileWriter::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  write_out(offset, reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void AtomicFileWriter::commit() {
  flush();
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  ::close(std::exchange(descriptor_, -1));
  sync_path(folder_of(path_), path_);
}

AtomicDirectory::AtomicDirectory(fs::path final) : final_(std::move(final)) {
  if (!final_.has_filename()) final_ = final_.parent_path();  // "out/" means "out"
  for (;;) {
    temporary_ = temporary_name(final_, kPartial);
    if (::mkdir(temporary_.c_str(), 0777) != 0) {
      if (errno == EEXIST) continue;
      throw_failure(final_, errno);
    }
    lock_ = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (lock_ < 0 && errno != ENOENT) {
      const int error = errno;
      ::rmdir(temporary_.c_str());
      throw_failure(final_, error);
    }
    if (lock_ >= 0 && lock_as_ours(lock_, temporary_)) return;
    if (lock_ >= 0) ::close(lock_);
  }
}

AtomicDirectory::~AtomicDirectory() {
  if (lock_ < 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  ::close(lock_);
}

void AtomicDirectory::commit() {
  if (lock_ < 0) throw std::logic_error("AtomicDirectory: committed twice");
  try {
    sync_tree(temporary_, final_);
  } catch (const fs::filesystem_error& error) {
    throw_failure(final_, error.code().value());
  }
  if (::rename(temporary_.c_str(), final_.c_str()) == 0) {
    ::close(std::exchange(lock_, -1));
    sync_path(folder_of(final_), final_);
    return;
  }
  // A non-empty folder is in the way (or a file, which only an exchange can move aside).
  if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) throw_failure(final_, errno);
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(), RENAME_EXCHANGE) == 0) {
    sync_path(folder_of(final_), final_);
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  } else {
    replace_in_two_steps(temporary_, final_);
  }
  ::close(std::exchange(lock_, -1));
}

int remove_stale_temporaries(const fs::path& folder) {
  std::error_code error;
  int count = 0;
  std::vector<fs::path> entries;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    entries.push_back(i->path());
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    const std::string replaced = target_of(name, kReplaced);
    if (replaced.empty() && target_of(name, kPartial).empty()) continue;
    if (!is_abandoned(entry)) continue;
    if (!replaced.empty() && !fs::exists(folder / replaced)) {
      fs::rename(entry, folder / replaced, error);
    } else {
      fs::remove_all(entry, error);
    }
    if (!error) ++count;
  }
  return count;
}

}  // namespace skipattn::io
