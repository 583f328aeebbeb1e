// Which implementation serves the CPU: the best the processor has, unless SKIPATTN_ATTENTION names one.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/attention/cpu/kernels/kernels.h"

namespace skipattn::attention::cpu {

enum class Level {
  kReference,   ///< "reference": the definition, T x S scores in memory
  kTorch,       ///< "torch": torch's fused attention per group of heads
  kAvx2,        ///< "avx2": our kernels, fp32 products of 8 lanes
  kAvx512,      ///< "avx512": fp32 products of 16 lanes
  kAvx512Bf16,  ///< "avx512_bf16": bf16 products for bf16 tensors, else as avx512
};

/// What the processor and this build can do.
bool is_available(Level level);

/// The level to use for this call. Throws c10::ValueError when SKIPATTN_ATTENTION is set to another word, or to a level
/// that this processor or build lacks.
Level choose_level();

/// "avx512_bf16" and so on.
const char* level_name(Level level);

/// The kernels for tensors of this dtype and head width at a level; null where torch's fused attention serves (fp64,
/// heads wider than 512, levels below avx2).
const KernelTable* choose_kernels(Level level, at::ScalarType dtype, int64_t head_width);

}  // namespace skipattn::attention::cpu
