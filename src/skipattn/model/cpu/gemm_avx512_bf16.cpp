// The bf16 kernel: a unit is two neighbouring elements along k, as vdpbf16ps multiplies them.
#include "skipattn/model/cpu/gemm_kernel.h"

#if defined(__AVX512BF16__)
#include "skipattn/model/cpu/gemm_avx512.h"

namespace skipattn::model::cpu {

namespace {

struct Bf16Arithmetic {
  static constexpr int kElementBytes = 2;

  static __m512 multiply_add(__m512 sum, __m512i row, __m512i column) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(row), reinterpret_cast<__m512bh>(column));
  }
  static __m512 load(const void* from, int64_t first, __mmask16 mask) {
    const __m256i halves = _mm256_maskz_loadu_epi16(mask, static_cast<const uint16_t*>(from) + first);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static void store_narrow(void* to, __mmask16 mask, __m512 value) {
    _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }

  /// A unit's two elements added to a sum.
  static __m512 add_unit(__m512 sum, __m512i unit) {
    return multiply_add(sum, unit, _mm512_set1_epi16(0x3f80));  // times 1
  }

  /// Rows of elements, `stride` bytes apart, of which `k_left` are there.
  struct Rows {
    const char* from;
    int64_t stride, k_left;

    void prefetch(int64_t u, int64_t column) const {
      _mm_prefetch(from + 2 * u * stride + 2 * column, _MM_HINT_T0);
      _mm_prefetch(from + (2 * u + 1) * stride + 2 * column, _MM_HINT_T0);
    }
    /// Rows 2 u and 2 u + 1 interleaved: the units of 16 columns from `column` on, zeros where the mask has none.
    __m512i units(int64_t u, int64_t column, __mmask16 mask) const {
      const __m256i even = _mm256_maskz_loadu_epi16(mask, from + 2 * u * stride + 2 * column);
      const __m256i odd =
          _mm256_maskz_loadu_epi16(2 * u + 1 < k_left ? mask : __mmask16{0}, from + (2 * u + 1) * stride + 2 * column);
      return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
    }
  };
};

}  // namespace

const GemmKernel* bf16_kernel() {
  static const GemmKernel kernel = {multiply<Bf16Arithmetic>, pack_b_transposed<Bf16Arithmetic>, pack_b<Bf16Arithmetic>,
                                    pack_a_transposed<Bf16Arithmetic>};
  static const bool here = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return here ? &kernel : nullptr;
}

}  // namespace skipattn::model::cpu

#else

namespace skipattn::model::cpu {

const GemmKernel* bf16_kernel() {
  return nullptr;
}

}  // namespace skipattn::model::cpu

#endif
