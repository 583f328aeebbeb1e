#include "skipattn/training/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "skipattn/core/errors.h"
#include "skipattn/core/parallel.h"

namespace skipattn::training {

namespace {

bool cpu_multiplies_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bf16" : "fp32";
}

Machine use_machine(const MachineConfig& config) {
  Machine machine;
  const bool has_cuda = at::hasCUDA();
  if (config.device == "cuda" && !has_cuda)
    throw InputError("device cuda: torch sees no CUDA device here; use --device cpu or auto");
  machine.device = config.device == "cuda" || (config.device == "auto" && has_cuda) ? at::kCUDA : at::kCPU;
  const bool native_bf16 = machine.device.is_cuda() || cpu_multiplies_bf16();
  const bool bf16 = config.dtype == "bf16" || (config.dtype == "auto" && native_bf16);
  machine.dtype = bf16 ? at::kBFloat16 : at::kFloat;
  machine.vocabulary_multiple = machine.device.is_cuda() ? 64 : 1;
  machine.threads = config.threads > 0 ? static_cast<int>(config.threads) : available_processors();
  at::set_num_threads(machine.threads);
  const std::string why = config.dtype != "auto" ? "as asked" : native_bf16 ? "native here" : "no native bf16 here";
  machine.description = fmt::format("{}, {} ({}), {} thread{}", machine.device.str(), dtype_name(machine.dtype), why,
                                    machine.threads, machine.threads == 1 ? "" : "s");
  return machine;
}

}  // namespace skipattn::training
