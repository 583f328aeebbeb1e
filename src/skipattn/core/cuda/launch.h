// Starting a kernel, on a card or, in tests, in the emulation of one (emulation.h). Kernel files include this and nothing of
// torch; they know device memory as plain pointers and a stream as an opaque one.
//
//   namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {            // …::cuda, in the emulation …::cuda_emulated
//   __global__ void scale_kernel(float* x, int64_t count, float by) { … }
//   void scale(float* x, int64_t count, float by, Stream stream) {
//     launch(scale_kernel, {.blocks = blocks_for(count, 256), .threads = 256}, stream, x, count, by);
//   }
//   }
#pragma once

#include <cstdint>
#include <tuple>

#include "skipattn/core/errors.h"

#ifdef SKIPATTN_EMULATE_CUDA
#include "skipattn/core/cuda/emulation.h"
#define SKIPATTN_CUDA_NAMESPACE cuda_emulated
#else
#include <cuda_runtime.h>
#define SKIPATTN_CUDA_NAMESPACE cuda
#endif

namespace skipattn::cuda {

using Stream = void*;  ///< a cudaStream_t

/// How many blocks of how many threads. At most 1024 threads.
struct Grid {
  int64_t blocks = 0;  ///< none: nothing is started
  int threads = 0;     ///< a multiple of 32
};

/// Blocks of `threads` that give each of `count` elements a thread.
inline int64_t blocks_for(int64_t count, int64_t threads) {
  return (count + threads - 1) / threads;
}

#ifdef SKIPATTN_EMULATE_CUDA
inline namespace emulated {  // a program may hold both
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Stream stream, const Arguments&... arguments) {
  emulation::run(grid.blocks, grid.threads, [&] { kernel(static_cast<Parameters>(arguments)...); });
}
}  // namespace emulated
#else
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Stream stream, const Arguments&... arguments) {
  if (grid.blocks == 0) return;
  std::tuple<Parameters...> values(static_cast<Parameters>(arguments)...);
  const cudaError_t status = std::apply(
      [&](auto&... value) {
        void* addresses[] = {&value...};
        return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(grid.blocks)),
                                dim3(static_cast<unsigned>(grid.threads)), addresses, 0,
                                static_cast<cudaStream_t>(stream));
      },
      values);
  if (status != cudaSuccess)
    throw RunError(std::string("a CUDA kernel could not be started: ") + cudaGetErrorString(status));
}
#endif

}  // namespace skipattn::cuda
