#include "skipattn/core/errors.h"

namespace skipattn {

void FaultList::throw_if_any(const std::string& prefix) const {
  if (faults_.empty()) return;
  std::string message;
  for (const std::string& fault : faults_) {
    if (!message.empty()) message += '\n';
    message += prefix + fault;
  }
  throw InputError(message);
}

}  // namespace skipattn
