// AVX2 vectors of 8 fp32 lanes. Included by its level's translation unit only; internal linkage throughout.
#pragma once

#include <immintrin.h>

#include "skipattn/attention/cpu/kernels/kernels.h"
#include "skipattn/attention/dropout_hash.h"

namespace skipattn::attention::cpu {
namespace {

/// Words are fp32 numbers.
struct Avx2Float {
  static constexpr int kLanes = 8;
  static constexpr int kPair = 1;
  static constexpr int kTileRows = 6;     // rows and
  static constexpr int kTileVectors = 2;  // vectors of a register tile: 12 accumulators of the 16 registers
  using Vec = __m256;
  using Ints = __m256i;
  using Mask = __m256i;  // all bits of a lane

  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec set(float x) { return _mm256_set1_ps(x); }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  static Ints load_ints(const void* p) { return _mm256_loadu_si256(static_cast<const Ints*>(p)); }
  static Vec load_words(const uint32_t* p) { return _mm256_castsi256_ps(load_ints(p)); }
  static void store_words(uint32_t* p, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<Ints*>(p), _mm256_castps_si256(x));
  }
  static Vec broadcast_word(const uint32_t* p) { return _mm256_broadcast_ss(reinterpret_cast<const float*>(p)); }
  static Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
  static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
  static Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  static Vec fms(Vec a, Vec b, Vec c) { return _mm256_fmsub_ps(a, b, c); }
  static Vec dot(Vec sum, Vec a, Vec b) { return _mm256_fmadd_ps(a, b, sum); }
  static Mask above(Vec a, Vec b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
  static bool any_above(Vec a, Vec b) { return _mm256_movemask_ps(_mm256_castsi256_ps(above(a, b))) != 0; }
  static Vec blend(Mask mask, Vec a, Vec b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(mask)); }
  static Vec replace_minus_infinity(Vec a, Vec b) {
    return _mm256_blendv_ps(a, b, _mm256_cmp_ps(a, set(-__builtin_inff()), _CMP_EQ_OQ));
  }

  /// Exponents below this give 0: 2^x would not be a normal number.
  static Vec lowest() { return set(-126.0f); }
  static Vec fraction(Vec x) {
    const Vec bounded = _mm256_max_ps(lowest(), x);  // keeps NaN, which is the second operand
    return sub(bounded, _mm256_floor_ps(bounded));
  }
  /// a * 2^floor(x) for a in [1, 2], 0 where x is below -126.
  static Vec scale_by_power(Vec a, Vec x) {
    const Ints exponent = _mm256_cvtps_epi32(_mm256_floor_ps(_mm256_max_ps(lowest(), x)));
    const Vec scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(exponent, 23)));
    const Vec too_small = _mm256_cmp_ps(x, lowest(), _CMP_LT_OQ);
    const Vec nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_ps(_mm256_andnot_ps(too_small, scaled), x, nan);
  }

  /// floor(log2(x)) of a normal x > 0 (NaN of NaN), and x divided by that power of 2.
  static Vec exponent(Vec x) {
    const Ints biased = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
    return _mm256_blendv_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127))), x,
                            _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  }
  static Vec mantissa(Vec x) {
    return _mm256_or_ps(_mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff))), set(1.0f));
  }

  static Mask sees(int32_t key, const int32_t* first, const int32_t* last) {
    const Ints k = _mm256_set1_epi32(key);
    const Ints hidden =
        _mm256_or_si256(_mm256_cmpgt_epi32(load_ints(first), k), _mm256_cmpgt_epi32(k, load_ints(last)));
    return _mm256_xor_si256(hidden, _mm256_set1_epi32(-1));
  }
  static Vec select(Mask mask, Vec x, float other) { return blend(mask, x, set(other)); }

  static Ints mix_bits(Ints x) {
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<int>(kHashMultiply1)));
    x = _mm256_xor_si256(x, _mm256_srli_epi32(x, 15));
    x = _mm256_mullo_epi32(x, _mm256_set1_epi32(static_cast<int>(kHashMultiply2)));
    return _mm256_xor_si256(x, _mm256_srli_epi32(x, 16));
  }
  static Mask kept(const uint32_t* row_hashes, uint32_t key, uint32_t threshold) {
    const Ints hash =
        mix_bits(_mm256_xor_si256(load_ints(row_hashes), _mm256_set1_epi32(static_cast<int>(key * kHashStart))));
    const Ints bound = _mm256_set1_epi32(static_cast<int>(threshold));
    return _mm256_cmpeq_epi32(_mm256_max_epu32(hash, bound), hash);  // unsigned hash >= bound
  }

  static Ints first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vec load_elements(const float* p, int count) { return _mm256_maskload_ps(p, first_lanes(count)); }
  static Vec load_elements(const uint16_t* p, int count) {
    alignas(16) uint16_t few[8] = {};
    if (count < 8) {
      for (int i = 0; i < count; ++i) few[i] = p[i];
      p = few;
    }
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static void store_elements(float* p, Vec x, int count) { _mm256_maskstore_ps(p, first_lanes(count), x); }
  static void store_elements(uint16_t* p, Vec x, int count) {
    // Round to nearest even, NaN kept quiet.
    const Ints bits = _mm256_castps_si256(x);
    const Ints lsb = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const Ints rounded = _mm256_add_epi32(bits, _mm256_add_epi32(lsb, _mm256_set1_epi32(0x7fff)));
    const Ints quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const Ints kept = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
    const Ints halves = _mm256_srli_epi32(kept, 16);
    alignas(16) uint16_t all[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(all),
                    _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
    for (int i = 0; i < (count < 8 ? count : 8); ++i) p[i] = all[i];
  }
  static float sum_lanes(Vec x) {
    alignas(32) float lanes[8];
    _mm256_store_ps(lanes, x);
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  }

  template <typename T>
  static Vec load_row_words(const T* row, int word, int width) {
    return load_elements(row + word, width - word);
  }
  template <typename T>
  static Vec load_pair_words(const T* row, const T* /*next*/, int lane, int width) {
    return load_elements(row + lane, width - lane);
  }

  static void transpose(Vec* rows) {
    alignas(32) float cells[8][8];
    for (int i = 0; i < 8; ++i) _mm256_store_ps(cells[i], rows[i]);
    for (int i = 0; i < 8; ++i)
      rows[i] = _mm256_setr_ps(cells[0][i], cells[1][i], cells[2][i], cells[3][i], cells[4][i], cells[5][i],
                               cells[6][i], cells[7][i]);
  }
};

}  // namespace
}  // namespace skipattn::attention::cpu
