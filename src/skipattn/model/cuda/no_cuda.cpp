// Stands in for the kernels of this folder where there is no CUDA.
#include "skipattn/model/fused/kernels.h"
#include "skipattn/model/step_graph.h"

namespace skipattn::model::cuda {

const fused::Kernels* kernels() {
  return nullptr;
}

std::unique_ptr<GraphRecorder> make_graph_recorder() {
  return nullptr;
}

}  // namespace skipattn::model::cuda
