#include "skipattn/inference/card_kernels.h"

namespace skipattn::inference {

namespace {

const CardKernels* of_the_cpu = nullptr;

}  // namespace

const CardKernels* find_card_kernels(c10::Device device) {
  if (device.is_cuda()) return cuda::card_kernels();
  return device.is_cpu() ? of_the_cpu : nullptr;
}

void replace_cpu_card_kernels(const CardKernels* kernels) {
  of_the_cpu = kernels;
}

}  // namespace skipattn::inference
