// Stands in for this folder where there is no CUDA.
#include "skipattn/training/fused/kernels.h"
#include "skipattn/training/peak_memory.h"
#include "skipattn/training/step_graph.h"

namespace skipattn::training::cuda {

const fused::Kernels* kernels() {
  return nullptr;
}

std::unique_ptr<GraphRecorder> make_graph_recorder() {
  return nullptr;
}

int64_t peak_allocated_bytes(c10::Device) {
  return 0;
}

}  // namespace skipattn::training::cuda
