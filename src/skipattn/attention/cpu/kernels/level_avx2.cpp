// fp32 products on AVX2 and FMA.
#include "skipattn/attention/cpu/kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "skipattn/attention/cpu/kernels/simd_avx2.h"
// The vectors come first.
#include "skipattn/attention/cpu/kernels/table.h"
#endif

namespace skipattn::attention::cpu {

const KernelTable* avx2_kernels() {
#if defined(__AVX2__) && defined(__FMA__)
  static const KernelTable table = make_table<Avx2Float>("avx2");
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace skipattn::attention::cpu
