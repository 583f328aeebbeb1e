// Stands in for the kernels of this folder where there is no CUDA.
#include "skipattn/inference/card_kernels.h"

namespace skipattn::inference::cuda {

const CardKernels* card_kernels() {
  return nullptr;
}

}  // namespace skipattn::inference::cuda
