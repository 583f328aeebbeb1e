// What kernels of an optimizer step read: plain structs, by address, in the memory of the device.
#pragma once

#include <cstdint>

namespace skipattn::training::fused {

/// One parameter.
struct UpdateSlot {
  float* master;
  void* compute;  ///< fp32 or bf16; may be master itself
  float* first_moment;
  float* second_moment;
  const void* gradient;  ///< fp32 or bf16
  int64_t count;         ///< elements
  bool compute_is_bf16;
  bool gradient_is_bf16;
  bool decays;
  bool packed;  ///< every address allows access by four elements
};

/// A run of at most kUpdateChunk elements of a slot: what a thread block takes at once, and one partial sum of the norm.
struct UpdateChunk {
  int64_t slot;
  int64_t begin;
};
inline constexpr int64_t kUpdateChunk = 16384;

/// A step's numbers, set by the host.
struct StepNumbers {
  float beta1, beta2, epsilon;
  float step_size;                 ///< learning rate / (1 - beta1^step)
  float inverse_root_correction2;  ///< 1 / sqrt(1 - beta2^step)
  float shrink;                    ///< of weights that decay
  float grad_clip;                 ///< 0: none
};

/// What a step comes to. The loss is there before the gradients are measured.
struct StepResult {
  double loss;
  double norm;
  double gradient_scale;  ///< of the clipping
  double skipped;         ///< 1: the loss or the norm is not finite, nothing is changed; else 0
};

}  // namespace skipattn::training::fused
