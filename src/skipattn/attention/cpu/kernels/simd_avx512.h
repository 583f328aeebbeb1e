// AVX-512 vectors and the two word kinds on them: fp32 numbers, and pairs of bf16 (AVX512_BF16). Included by the
// translation unit of each level only; everything has internal linkage so that no other level's code is ever linked in.
#pragma once

#include <immintrin.h>

#include "skipattn/attention/cpu/kernels/kernels.h"
#include "skipattn/attention/dropout_hash.h"

namespace skipattn::attention::cpu {
namespace {

/// What both word kinds share: 16 lanes of fp32.
struct Avx512 {
  static constexpr int kLanes = 16;
  static constexpr int kTileRows = 6;     // rows and
  static constexpr int kTileVectors = 4;  // vectors of a register tile: 24 accumulators, 4 + 1 operands
  using Vec = __m512;
  using Ints = __m512i;
  using Mask = __mmask16;

  static Vec zero() { return _mm512_setzero_ps(); }
  static Vec set(float x) { return _mm512_set1_ps(x); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  static Vec load_words(const uint32_t* p) { return _mm512_castsi512_ps(_mm512_loadu_si512(p)); }
  static Vec broadcast_word(const uint32_t* p) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(*p))); }
  static Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
  static Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  static Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  static Vec fms(Vec a, Vec b, Vec c) { return _mm512_fmsub_ps(a, b, c); }
  static Mask above(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static bool any_above(Vec a, Vec b) { return above(a, b) != 0; }
  /// a in the lanes of the mask, b elsewhere.
  static Vec blend(Mask mask, Vec a, Vec b) { return _mm512_mask_mov_ps(b, mask, a); }
  /// a where it is not minus infinity, else b.
  static Vec replace_minus_infinity(Vec a, Vec b) {
    return _mm512_mask_mov_ps(a, _mm512_cmpeq_ps_mask(a, set(-__builtin_inff())), b);
  }

  /// x - floor(x), 0 for minus infinity.
  static Vec fraction(Vec x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  /// a * 2^floor(x), 0 for minus infinity.
  static Vec scale_by_power(Vec a, Vec x) { return _mm512_scalef_ps(a, x); }
  /// floor(log2(x)) of x > 0, and x divided by that power of 2.
  static Vec exponent(Vec x) { return _mm512_getexp_ps(x); }
  static Vec mantissa(Vec x) { return _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src); }

  /// Lanes whose key range [first, last] holds `key`.
  static Mask sees(int32_t key, const int32_t* first, const int32_t* last) {
    const Ints k = _mm512_set1_epi32(key);
    return _mm512_mask_cmple_epi32_mask(_mm512_cmple_epi32_mask(_mm512_loadu_si512(first), k), k,
                                        _mm512_loadu_si512(last));
  }
  /// x in the lanes of the mask, `other` elsewhere.
  static Vec select(Mask mask, Vec x, float other) { return blend(mask, x, set(other)); }

  static Ints mix_bits(Ints x) {
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kHashMultiply1)));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, _mm512_set1_epi32(static_cast<int>(kHashMultiply2)));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
  }
  /// Lanes whose weight of `key` stays (dropout_hash.h).
  static Mask kept(const uint32_t* row_hashes, uint32_t key, uint32_t threshold) {
    const Ints hash = mix_bits(
        _mm512_xor_si512(_mm512_loadu_si512(row_hashes), _mm512_set1_epi32(static_cast<int>(key * kHashStart))));
    return _mm512_cmpge_epu32_mask(hash, _mm512_set1_epi32(static_cast<int>(threshold)));
  }

  static Mask first_lanes(int count) { return static_cast<Mask>(count >= 16 ? 0xffff : (1u << count) - 1); }

  /// `count` numbers (16 when more), zeros after them. Whole vectors take no mask: masked stores are slow.
  static Vec load_elements(const float* p, int count) {
    return count >= 16 ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first_lanes(count), p);
  }
  static Vec load_elements(const uint16_t* p, int count) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_halves(p, count)), 16));
  }
  static __m256i load_halves(const uint16_t* p, int count) {
    return count >= 16 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                       : _mm256_maskz_loadu_epi16(first_lanes(count), p);
  }
  static void store_elements(float* p, Vec x, int count) {
    count >= 16 ? _mm512_storeu_ps(p, x) : _mm512_mask_storeu_ps(p, first_lanes(count), x);
  }
  static void store_elements(uint16_t* p, Vec x, int count) {
    // Round to nearest even, NaN kept quiet.
    const Ints bits = _mm512_castps_si512(x);
    const Ints lsb = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const Ints rounded = _mm512_add_epi32(bits, _mm512_add_epi32(lsb, _mm512_set1_epi32(0x7fff)));
    const Ints kept =
        _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    const __m256i halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
    count >= 16 ? _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), halves)
                : _mm256_mask_storeu_epi16(p, first_lanes(count), halves);
  }
  static float sum_lanes(Vec x) { return _mm512_reduce_add_ps(x); }

  /// rows[i] lane j <-> rows[j] lane i.
  static void transpose(Vec* rows) {
    Vec t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      rows[4 * i] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
      rows[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
      rows[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
      rows[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_f32x4(rows[i], rows[4 + i], 0x88);
      t[4 + i] = _mm512_shuffle_f32x4(rows[i], rows[4 + i], 0xdd);
      t[8 + i] = _mm512_shuffle_f32x4(rows[8 + i], rows[12 + i], 0x88);
      t[12 + i] = _mm512_shuffle_f32x4(rows[8 + i], rows[12 + i], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      rows[i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0x88);
      rows[8 + i] = _mm512_shuffle_f32x4(t[i], t[8 + i], 0xdd);
      rows[4 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0x88);
      rows[12 + i] = _mm512_shuffle_f32x4(t[4 + i], t[12 + i], 0xdd);
    }
  }
};

/// Words are fp32 numbers.
struct Avx512Float : Avx512 {
  static constexpr int kPair = 1;
  static Vec dot(Vec sum, Vec a, Vec b) { return _mm512_fmadd_ps(a, b, sum); }

  template <typename T>
  static Vec load_row_words(const T* row, int word, int width) {
    return load_elements(row + word, width - word);
  }
  template <typename T>
  static Vec load_pair_words(const T* row, const T* /*next*/, int lane, int width) {
    return load_elements(row + lane, width - lane);
  }
  static void store_words(uint32_t* p, Vec x) { _mm512_storeu_si512(p, _mm512_castps_si512(x)); }
};

#ifdef __AVX512BF16__
/// Words are pairs of bf16.
struct Avx512Pairs : Avx512 {
  static constexpr int kPair = 2;
  static Vec dot(Vec sum, Vec a, Vec b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  static Vec load_row_words(const uint16_t* row, int word, int width) {
    const int count = width - 2 * word;
    if (count >= 32) return _mm512_castsi512_ps(_mm512_loadu_si512(row + 2 * word));
    const auto lanes = static_cast<__mmask32>(count >= 32 ? 0xffffffffu : (1u << (count > 0 ? count : 0)) - 1);
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(lanes, row + 2 * word));
  }
  /// Words (row, next) of 16 columns; next may be null: zeros.
  static Vec load_pair_words(const uint16_t* row, const uint16_t* next, int lane, int width) {
    const Ints low = _mm512_cvtepu16_epi32(load_halves(row + lane, width - lane));
    if (next == nullptr) return _mm512_castsi512_ps(low);
    const Ints high = _mm512_cvtepu16_epi32(load_halves(next + lane, width - lane));
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }
  /// fp32 numbers with half of bf16's last place added, so that their upper halves are the rounded numbers (to nearest,
  /// ties away from zero, which no sum of weights notices).
  static Vec round(Vec x) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000)));
  }
  /// Words (low, high) lane by lane, of rounded numbers.
  static Vec join(Vec low, Vec high) {
    return _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(_mm512_castps_si512(low), 16),
                                                       _mm512_castps_si512(high)));
  }
  /// 32 bf16 in order, a's lanes, then b's, of rounded numbers.
  static Vec narrow(Vec a, Vec b) {
    const Ints upper_halves = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29,
                                               27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_castsi512_ps(_mm512_permutex2var_epi16(_mm512_castps_si512(a), upper_halves, _mm512_castps_si512(b)));
  }
  /// Words of (1, 1).
  static Vec ones() { return _mm512_castsi512_ps(_mm512_set1_epi32(0x3f803f80)); }
  static void store_words(uint32_t* p, Vec x) { _mm512_storeu_si512(p, _mm512_castps_si512(x)); }
};
#endif

}  // namespace
}  // namespace skipattn::attention::cpu
