// The tests of the fused kernels and of the training pass once more, with the kernels for cards in their emulation
// (core/cuda/emulation.h) in the CPU's place.
#include <gtest/gtest.h>

#include "skipattn/model/fused/kernels.h"

namespace skipattn::model::cuda_emulated {
const fused::Kernels* kernels();
}

int main(int argc, char** argv) {
  // Ids beyond a table: a kernel cannot complain, whoever makes the ids must look.
  testing::GTEST_FLAG(filter) = "-*OutsideThe*";
  testing::InitGoogleTest(&argc, argv);
  skipattn::model::fused::replace_cpu_kernels(skipattn::model::cuda_emulated::kernels());
  return RUN_ALL_TESTS();
}
