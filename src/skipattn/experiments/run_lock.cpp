#include "skipattn/experiments/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "skipattn/core/errors.h"

namespace skipattn::experiments {

std::optional<RunLock> RunLock::take(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "run.lock";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw RunError("cannot write '{}': {}", folder.string(), error.message());
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) throw RunError("cannot write '{}': {}", file.string(), std::strerror(errno));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor);
    return std::nullopt;
  }
  return RunLock(descriptor);
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace skipattn::experiments
