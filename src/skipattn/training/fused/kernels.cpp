#include "skipattn/training/fused/kernels.h"

#include "skipattn/core/cuda/device_kernels.h"

namespace skipattn::training::fused {

namespace {

skipattn::cuda::DeviceKernels<Kernels>& table() {
  static skipattn::cuda::DeviceKernels<Kernels> kernels(&cpu::kernels(), training::cuda::kernels());
  return kernels;
}

const Kernels& kernels_for(const at::Tensor& tensor) {
  return table().of(tensor.device());
}

}  // namespace

bool has_kernels(at::Device device) {
  return table().find(device) != nullptr;
}

void replace_cpu_kernels(const Kernels* kernels) {
  table().replace_cpu(kernels);
}

void softmax_loss(const SoftmaxLoss& call) {
  kernels_for(call.logits).softmax_loss(call);
}
void measure_gradients(const UpdateTable& table) {
  kernels_for(table.result).measure_gradients(table);
}
void update_parameters(const UpdateTable& table) {
  kernels_for(table.result).update_parameters(table);
}

}  // namespace skipattn::training::fused
