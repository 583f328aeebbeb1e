// The tests of decoding once more, sessions decoding through the kernels for cards in their emulation
// (core/cuda/emulation.h) in the CPU's place.
#include <gtest/gtest.h>

#include "skipattn/inference/card_kernels.h"
#include "skipattn/model/fused/kernels.h"

namespace skipattn::model::cuda_emulated {
const fused::Kernels* kernels();
}
namespace skipattn::inference::cuda_emulated {
const CardKernels* card_kernels();
}

int main(int argc, char** argv) {
  // Every token of every split takes minutes here; the other tests decode as much as is needed.
  testing::GTEST_FLAG(filter) = "-*InFp32*";
  testing::InitGoogleTest(&argc, argv);
  skipattn::model::fused::replace_cpu_kernels(skipattn::model::cuda_emulated::kernels());
  skipattn::inference::replace_cpu_card_kernels(skipattn::inference::cuda_emulated::card_kernels());
  return RUN_ALL_TESTS();
}
