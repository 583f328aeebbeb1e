// RunLock: one process at a time does a run. Held by the open file, so that a process that dies lets go of it, however it died
// and, on shared disks that know locks, on whatever machine.
//
//   if (const auto lock = RunLock::take(folder)) { /* nobody else is at this run */ }
#pragma once

#include <filesystem>
#include <optional>
#include <utility>

namespace skipattn::experiments {

class RunLock {
 public:
  /// Makes the folder where it is missing, and folder/run.lock. Nothing when another process (or object) holds the lock. A disk
  /// without locks gives one that protects nothing. RunError when the file cannot be made.
  static std::optional<RunLock> take(const std::filesystem::path& folder);

  RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RunLock& operator=(RunLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  RunLock(const RunLock&) = delete;
  ~RunLock();

 private:
  explicit RunLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace skipattn::experiments
