// fp32 products on AVX-512.
#include "skipattn/attention/cpu/kernels/kernels.h"

#if defined(__AVX512F__)
#include "skipattn/attention/cpu/kernels/simd_avx512.h"
// The vectors come first.
#include "skipattn/attention/cpu/kernels/table.h"
#endif

namespace skipattn::attention::cpu {

const KernelTable* avx512_kernels() {
#if defined(__AVX512F__)
  static const KernelTable table = make_table<Avx512Float>("avx512");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace skipattn::attention::cpu
