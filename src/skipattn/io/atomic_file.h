// Files and folders that are either the old ones or the new ones, never half of each. Bytes go to a
// hidden temporary beside the target, are synced to the disk, and take the target's name in one
// rename; the folder is synced too. A kill at any instant leaves at most a temporary, which
// remove_stale_temporaries() finds later.
//
//   write_file_atomically("config.json", text);
//   AtomicDirectory checkpoint("runs/a/step-100");
//   write_model(checkpoint.path() / "model.safetensors");
//   checkpoint.commit();                                   // replaces an older step-100, if any
//
// Whatever the machine refuses (disk full, folder not writable) is a RunError with the target's
// path and the reason; the temporary is removed then, and also when the object goes away without
// commit().
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace skipattn::io {

namespace fs = std::filesystem;

/// Replaces or makes the file `path` with these bytes. The folder must exist.
void write_file_atomically(const fs::path& path, std::string_view bytes);

/// A file written piece by piece, in order or at offsets; nothing is seen under its name before
/// commit().
class AtomicFileWriter {
 public:
  explicit AtomicFileWriter(fs::path path);
  ~AtomicFileWriter();
  AtomicFileWriter(const AtomicFileWriter&) = delete;
  AtomicFileWriter& operator=(const AtomicFileWriter&) = delete;

  /// Appends. Small pieces are gathered in memory (1 MiB) first.
  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes);
  /// Writes at a byte offset from the start, without moving where write() appends.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes given to write() so far.
  uint64_t size() const { return size_; }
  /// Syncs and renames. Nothing may be written afterwards.
  void commit();

 private:
  void flush();
  void write_out(uint64_t offset, const char* bytes, size_t count);
  [[noreturn]] void fail(int error);

  fs::path path_;
  fs::path temporary_;
  int descriptor_ = -1;
  std::string buffer_;
  uint64_t size_ = 0;
};

/// A folder filled under a temporary name. commit() syncs every file in it and puts it in the place
/// of `final`, which is exchanged in one step where the file system can; where it cannot, a kill
/// between the two renames leaves the old folder under a temporary name, and
/// remove_stale_temporaries() gives it its name back.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(fs::path final);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  /// The temporary folder to write into; valid until commit().
  const fs::path& path() const { return temporary_; }
  void commit();

 private:
  fs::path final_;
  fs::path temporary_;
  int lock_ = -1;
};

/// Removes what killed processes left in `folder` (temporaries of living ones are locked and stay)
/// and undoes swaps that were cut short. Returns how many entries it dealt with; a folder that does
/// not exist has none.
int remove_stale_temporaries(const fs::path& folder);

}  // namespace skipattn::io
