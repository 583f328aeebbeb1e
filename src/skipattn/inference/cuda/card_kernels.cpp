#include "skipattn/inference/card_kernels.h"

#include "skipattn/core/cuda/stream.h"
#include "skipattn/inference/cuda/decoding.h"

namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE {

const CardKernels* card_kernels() {
  static constexpr CardKernels kernels = {
      .append = [](const CardAppend& call,
                   c10::Device device) { append_to_cache(call, skipattn::cuda::current_stream(device)); },
      .attend = [](const CardAttend& call,
                   c10::Device device) { attend_to_cache(call, skipattn::cuda::current_stream(device)); }};
  return &kernels;
}

}  // namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE
