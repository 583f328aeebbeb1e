// The fp32 kernel: a unit is one element.
#include "skipattn/model/cpu/gemm_kernel.h"

#if defined(__AVX512BW__)
#include "skipattn/model/cpu/gemm_avx512.h"

namespace skipattn::model::cpu {

namespace {

struct Fp32Arithmetic {
  static constexpr int kElementBytes = 4;

  static __m512 multiply_add(__m512 sum, __m512i row, __m512i column) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(row), _mm512_castsi512_ps(column), sum);
  }
  static __m512 load(const void* from, int64_t first, __mmask16 mask) {
    return _mm512_maskz_loadu_ps(mask, static_cast<const float*>(from) + first);
  }
  static void store_narrow(void*, __mmask16, __m512) {}  // fp32 operands have fp32 results

  static __m512 add_unit(__m512 sum, __m512i unit) { return _mm512_add_ps(sum, _mm512_castsi512_ps(unit)); }

  /// Rows of elements, `stride` bytes apart.
  struct Rows {
    const char* from;
    int64_t stride, k_left;

    void prefetch(int64_t u, int64_t column) const { _mm_prefetch(from + u * stride + 4 * column, _MM_HINT_T0); }
    __m512i units(int64_t u, int64_t column, __mmask16 mask) const {
      return _mm512_maskz_loadu_epi32(mask, from + u * stride + 4 * column);
    }
  };
};

}  // namespace

const GemmKernel* fp32_kernel() {
  static const GemmKernel kernel = {multiply<Fp32Arithmetic>, pack_b_transposed<Fp32Arithmetic>, pack_b<Fp32Arithmetic>,
                                    pack_a_transposed<Fp32Arithmetic>};
  static const bool here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return here ? &kernel : nullptr;
}

}  // namespace skipattn::model::cpu

#else

namespace skipattn::model::cpu {

const GemmKernel* fp32_kernel() {
  return nullptr;
}

}  // namespace skipattn::model::cpu

#endif
