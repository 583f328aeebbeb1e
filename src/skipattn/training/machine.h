// The device, dtype and threads a run really uses, resolved from what was asked.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "skipattn/training/run_config.h"

namespace skipattn::training {

struct Machine {
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  int threads = 1;
  /// The vocabulary's table gets rows of zeros behind it up to a multiple of this, for products of aligned sizes; nothing
  /// sees them but the loss.
  int64_t vocabulary_multiple = 1;
  std::string description;  ///< "cpu, bf16 (native here), 2 threads"
};

/// Resolves "auto" and sets torch's thread count. bf16 is native where the processor multiplies it (AVX512_BF16, AMX)
/// and on CUDA devices. InputError when a CUDA device is asked for and torch sees none.
Machine use_machine(const MachineConfig& config);

/// "fp32" or "bf16".
std::string dtype_name(at::ScalarType dtype);

}  // namespace skipattn::training
