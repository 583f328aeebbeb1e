#include "skipattn/core/memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace skipattn {

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    if (key == "VmHWM:") {
      int64_t kibibytes = 0;
      status >> kibibytes;
      return kibibytes * 1024;
    }
    std::getline(status, key);
  }
  return 0;
}

void reset_peak_resident() {
  std::ofstream("/proc/self/clear_refs") << "5\n";
}

int64_t minor_page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

}  // namespace skipattn
