#include "skipattn/inference/card_kernels.h"

#include "skipattn/core/cuda/device_kernels.h"

namespace skipattn::inference {

namespace {

skipattn::cuda::DeviceKernels<CardKernels>& table() {
  static skipattn::cuda::DeviceKernels<CardKernels> kernels(/*cpu=*/nullptr, inference::cuda::card_kernels());
  return kernels;
}

}  // namespace

const CardKernels* find_card_kernels(c10::Device device) {
  return table().find(device);
}

void replace_cpu_card_kernels(const CardKernels* kernels) {
  table().replace_cpu(kernels);
}

}  // namespace skipattn::inference
