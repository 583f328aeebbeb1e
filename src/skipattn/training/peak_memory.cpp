#include "skipattn/training/peak_memory.h"

#include "skipattn/core/memory.h"

namespace skipattn::training {

int64_t peak_memory_bytes(c10::Device device) {
  return device.is_cuda() ? cuda::peak_allocated_bytes(device) : peak_resident_bytes();
}

}  // namespace skipattn::training
