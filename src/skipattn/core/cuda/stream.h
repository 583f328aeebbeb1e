// The stream that torch's operators of this thread run on.
#pragma once

#include <c10/core/Device.h>

#include "skipattn/core/cuda/launch.h"

#ifndef SKIPATTN_EMULATE_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

namespace skipattn::cuda {

#ifdef SKIPATTN_EMULATE_CUDA
inline namespace emulated {  // a program may hold both
inline Stream current_stream(c10::Device device) {
  return nullptr;
}
}  // namespace emulated
#else
inline Stream current_stream(c10::Device device) {
  return c10::cuda::getCurrentCUDAStream(device.index()).stream();
}
#endif

}  // namespace skipattn::cuda
