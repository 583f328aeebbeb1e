// bf16 products on AVX512_BF16.
#include "skipattn/attention/cpu/kernels/kernels.h"

#if defined(__AVX512BF16__)
#include "skipattn/attention/cpu/kernels/simd_avx512.h"
// The vectors come first.
#include "skipattn/attention/cpu/kernels/table.h"
#endif

namespace skipattn::attention::cpu {

const KernelTable* avx512_bf16_kernels() {
#if defined(__AVX512BF16__)
  static const KernelTable table = make_table<Avx512Pairs>("avx512_bf16");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace skipattn::attention::cpu
