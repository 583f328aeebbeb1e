// The fused kernels of one kind of device, as a table of functions (as in model/fused/kernels.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/training/fused/parameter_update.h"
#include "skipattn/training/fused/softmax_loss.h"

namespace skipattn::training::fused {

struct Kernels {
  decltype(&fused::softmax_loss) softmax_loss;
  decltype(&fused::measure_gradients) measure_gradients;
  decltype(&fused::update_parameters) update_parameters;
};

/// Whether this build has kernels for the device.
bool has_kernels(at::Device device);

/// For tests: tensors of the CPU go through these kernels from now on (the emulated ones of CUDA); null: through its own.
void replace_cpu_kernels(const Kernels* kernels);

}  // namespace skipattn::training::fused

namespace skipattn::training::cpu {
const fused::Kernels& kernels();
}

namespace skipattn::training::cuda {
/// Null in a build without CUDA.
const fused::Kernels* kernels();
}  // namespace skipattn::training::cuda
