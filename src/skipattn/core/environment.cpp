#include "skipattn/core/environment.h"

#include <cstdlib>

#include "skipattn/core/errors.h"

namespace skipattn {

bool environment_says(const char* variable, std::string_view yes, std::string_view no) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0' || value == yes) return true;
  if (value == no) return false;
  throw InputError("{} must be '{}' or '{}', got '{}'", variable, yes, no, value);
}

}  // namespace skipattn
