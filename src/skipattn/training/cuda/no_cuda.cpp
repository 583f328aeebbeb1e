// Stands in for this folder where there is no CUDA.
#include "skipattn/training/fused/kernels.h"
#include "skipattn/training/peak_memory.h"

namespace skipattn::training::cuda {

const fused::Kernels* kernels() {
  return nullptr;
}

int64_t peak_allocated_bytes(c10::Device) {
  return 0;
}

}  // namespace skipattn::training::cuda
