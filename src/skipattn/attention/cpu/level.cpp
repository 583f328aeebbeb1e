#include "skipattn/attention/cpu/level.h"

#include <c10/util/Exception.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace skipattn::attention::cpu {
namespace {

constexpr int64_t kWidestHead = 512;

constexpr std::array<const char*, 5> kNames = {"reference", "torch", "avx2", "avx512", "avx512_bf16"};

Level best_level() {
  for (const Level level : {Level::kAvx512Bf16, Level::kAvx512, Level::kAvx2})
    if (is_available(level)) return level;
  return Level::kTorch;
}

}  // namespace

bool is_available(Level level) {
#if defined(__x86_64__)
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (level) {
    case Level::kAvx2:
      return avx2_kernels() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Level::kAvx512:
      return avx512_kernels() && avx512;
    case Level::kAvx512Bf16:
      return avx512_bf16_kernels() && avx512 && __builtin_cpu_supports("avx512bf16");
    default:
      return true;
  }
#else
  return level == Level::kReference || level == Level::kTorch;
#endif
}

const char* level_name(Level level) {
  return kNames[static_cast<size_t>(level)];
}

Level choose_level() {
  static const Level best = best_level();
  const char* forced = std::getenv("SKIPATTN_ATTENTION");
  if (forced == nullptr || *forced == '\0') return best;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (std::string_view(forced) != kNames[i]) continue;
    const auto level = static_cast<Level>(i);
    TORCH_CHECK_VALUE(is_available(level), "SKIPATTN_ATTENTION=", forced, ": this processor's best is '",
                      level_name(best), "'");
    return level;
  }
  TORCH_CHECK_VALUE(false, "SKIPATTN_ATTENTION must be 'reference', 'torch', 'avx2', 'avx512' or 'avx512_bf16', got '",
                    forced, "'");
}

const KernelTable* choose_kernels(Level level, at::ScalarType dtype, int64_t head_width) {
  if (level < Level::kAvx2 || head_width > kWidestHead || head_width < 1) return nullptr;
  if (dtype != at::kFloat && dtype != at::kBFloat16) return nullptr;
  if (level == Level::kAvx512Bf16 && dtype == at::kBFloat16) return avx512_bf16_kernels();
  return level == Level::kAvx2 ? avx2_kernels() : avx512_kernels();
}

}  // namespace skipattn::attention::cpu
