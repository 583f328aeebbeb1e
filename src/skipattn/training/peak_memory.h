// The memory a run has needed at most.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace skipattn::training {

/// Bytes: on the CPU the process's peak resident size, on a card the peak of what torch's allocator gave out there.
int64_t peak_memory_bytes(c10::Device device);

}  // namespace skipattn::training

namespace skipattn::training::cuda {
/// 0 in a build without CUDA.
int64_t peak_allocated_bytes(c10::Device device);
}  // namespace skipattn::training::cuda
