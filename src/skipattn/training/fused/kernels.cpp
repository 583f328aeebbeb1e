#include "skipattn/training/fused/kernels.h"

namespace skipattn::training::fused {

namespace {

const Kernels* cpu_replacement = nullptr;

const Kernels* find_kernels(at::Device device) {
  if (device.is_cuda()) return cuda::kernels();
  if (!device.is_cpu()) return nullptr;
  return cpu_replacement != nullptr ? cpu_replacement : &cpu::kernels();
}

const Kernels& kernels_for(const at::Tensor& tensor) {
  const Kernels* kernels = find_kernels(tensor.device());
  TORCH_INTERNAL_ASSERT(kernels != nullptr, "this build has no fused kernels for ", tensor.device());
  return *kernels;
}

}  // namespace

bool has_kernels(at::Device device) {
  return find_kernels(device) != nullptr;
}

void replace_cpu_kernels(const Kernels* kernels) {
  cpu_replacement = kernels;
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
