// The tests of the fused kernels, of the loss, the optimizer and the trainer once more, with the kernels for cards in their
// emulation (core/cuda/emulation.h) in the CPU's place.
#include <gtest/gtest.h>

#include "skipattn/model/fused/kernels.h"
#include "skipattn/training/fused/kernels.h"

namespace skipattn::model::cuda_emulated {
const fused::Kernels* kernels();
}
namespace skipattn::training::cuda_emulated {
const fused::Kernels* kernels();
}

int main(int argc, char** argv) {
  // Targets beyond the vocabulary: a kernel cannot complain, whoever makes them must look.
  testing::GTEST_FLAG(filter) = "-*OutsideThe*";
  testing::InitGoogleTest(&argc, argv);
  skipattn::model::fused::replace_cpu_kernels(skipattn::model::cuda_emulated::kernels());
  skipattn::training::fused::replace_cpu_kernels(skipattn::training::cuda_emulated::kernels());
  return RUN_ALL_TESTS();
}
