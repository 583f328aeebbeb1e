// Stands in for the kernels of this folder where there is no CUDA.
#include "skipattn/model/fused/kernels.h"

namespace skipattn::model::cuda {

const fused::Kernels* kernels() {
  return nullptr;
}

}  // namespace skipattn::model::cuda
