// Which table of kernels (a struct of function pointers) serves a device: one per kind, and for tests another in the CPU's
// place.
#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

namespace skipattn::cuda {

template <typename Kernels>
class DeviceKernels {
 public:
  /// Null: this kind of device has none, or not in this build.
  DeviceKernels(const Kernels* cpu, const Kernels* cuda) : cpu_(cpu), cuda_(cuda) {}

  /// The device's kernels, null where there are none.
  const Kernels* find(c10::Device device) const {
    if (device.is_cuda()) return cuda_;
    if (!device.is_cpu()) return nullptr;
    return cpu_replacement_ != nullptr ? cpu_replacement_ : cpu_;
  }

  const Kernels& of(c10::Device device) const {
    const Kernels* kernels = find(device);
    TORCH_INTERNAL_ASSERT(kernels != nullptr, "this build has no fused kernels for ", device);
    return *kernels;
  }

  /// For tests: tensors of the CPU go through these kernels from now on (the emulated ones of CUDA); null: through its own.
  void replace_cpu(const Kernels* kernels) { cpu_replacement_ = kernels; }

 private:
  const Kernels *cpu_, *cuda_;
  const Kernels* cpu_replacement_ = nullptr;
};

}  // namespace skipattn::cuda
