#include "skipattn/attention/cpu/level.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <string_view>

namespace skipattn::attention::cpu {

Level choose_level() {
  const char* forced = std::getenv("SKIPATTN_ATTENTION");
  if (forced == nullptr || *forced == '\0') return Level::kTorch;
  const std::string_view name = forced;
  if (name == "reference") return Level::kReference;
  TORCH_CHECK_VALUE(name == "torch", "SKIPATTN_ATTENTION must be 'reference' or 'torch', got '", name, "'");
  return Level::kTorch;
}

}  // namespace skipattn::attention::cpu
