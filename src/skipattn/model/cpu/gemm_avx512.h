// The body of both AVX-512 kernels (gemm_avx512_fp32.cpp, gemm_avx512_bf16.cpp); each includes it with its instruction set
// switched on and gives its `Arithmetic`: how a unit is multiplied and how rows become units.
//
// A tile's 24 sums stay in registers: per unit 4 loads of B, 6 broadcasts of A and 24 multiplications, of which two start
// in a cycle; the loads hide behind them.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "skipattn/model/cpu/gemm_kernel.h"

namespace skipattn::model::cpu {

namespace {

constexpr int kVectors = kPanelColumns / 16;
constexpr int64_t kPrefetchUnits = 4;  // how far ahead rows are asked for while packing

inline __mmask16 mask16(int count) {
  return count >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << std::max(count, 0)) - 1u);
}
inline __mmask32 mask32(int64_t count) {
  return count >= 32 ? ~__mmask32{0} : static_cast<__mmask32>((uint64_t{1} << std::max<int64_t>(count, 0)) - 1u);
}

/// Asks for the lines that the tile's end reads and writes, so that they are there by then.
inline void prefetch_result(const GemmTile& t) {
  const char* result = t.sums != nullptr ? reinterpret_cast<const char*>(t.sums) : static_cast<const char*>(t.c);
  const int64_t element = t.sums != nullptr ? 4 : 2;
  for (int i = 0; i < t.rows; ++i)
    for (int64_t byte = 0; byte < t.columns * element; byte += 64)
      __builtin_prefetch(result + i * t.c_row * element + byte, 1);
}

template <int kRows>
using TileSums = __m512[kRows][kVectors];

/// The sums of one tile. kPacked: A lies in a packed strip.
template <typename Arithmetic, int kRows, bool kPacked>
inline __attribute__((always_inline)) void sum_units(const GemmTile& t, TileSums<kRows>& sums) {
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[i][v] = _mm512_setzero_ps();
  const int64_t a_row = kPacked ? 4 : t.a_row, a_unit = kPacked ? 4 * kTileRows : 4;
  const char* a = t.a;
  const uint32_t* b = t.b;
  for (int64_t u = 0; u < t.units; ++u, a += a_unit, b += kPanelColumns) {
    __m512i columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = _mm512_loadu_si512(b + 16 * v);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      int unit;
      std::memcpy(&unit, a + i * a_row, sizeof(unit));
      const __m512i row = _mm512_set1_epi32(unit);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] = Arithmetic::multiply_add(sums[i][v], row, columns[v]);
    }
  }
}

/// Adds a tile's sums to what rests in memory: the common end of all but the last block of k.
template <int kRows>
inline __attribute__((always_inline)) void add_to_memory(const GemmTile& t, const TileSums<kRows>& sums) {
  float* to = t.sums;
#pragma GCC unroll 12
  for (int i = 0; i < kRows; ++i, to += t.c_row)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v)
      _mm512_storeu_ps(to + 16 * v, _mm512_add_ps(sums[i][v], _mm512_loadu_ps(to + 16 * v)));
}

template <typename Arithmetic, int kRows>
inline __attribute__((always_inline)) void finish_tile(const GemmTile& t, const TileSums<kRows>& sums) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const __mmask16 mask = mask16(t.columns - 16 * v);
    const __m512 bias = t.bias == nullptr ? _mm512_setzero_ps() : Arithmetic::load(t.bias, 16 * v, mask);
#pragma GCC unroll 12
    for (int i = 0; i < kRows; ++i) {
      __m512 sum = _mm512_add_ps(sums[i][v], bias);
      if (t.before != nullptr)
        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, t.before + i * t.before_row + 16 * v));
      if (t.sums != nullptr) {
        _mm512_mask_storeu_ps(t.sums + i * t.c_row + 16 * v, mask, sum);
      } else {
        Arithmetic::store_narrow(static_cast<char*>(t.c) + 2 * (i * t.c_row + 16 * v), mask, sum);
      }
    }
  }
}

template <typename Arithmetic, int kRows>
void multiply_tile(const GemmTile& t) {
  prefetch_result(t);
  TileSums<kRows> sums;
  t.packed ? sum_units<Arithmetic, kRows, true>(t, sums) : sum_units<Arithmetic, kRows, false>(t, sums);
  if (t.before != nullptr && t.before == t.sums && t.bias == nullptr && t.columns == kPanelColumns) {
    add_to_memory<kRows>(t, sums);
  } else {
    finish_tile<Arithmetic, kRows>(t, sums);
  }
}

template <typename Arithmetic, int... kRows>
void multiply_rows(const GemmTile& t, std::integer_sequence<int, kRows...>) {
  static constexpr void (*kTiles[])(const GemmTile&) = {multiply_tile<Arithmetic, kRows + 1>...};
  kTiles[t.rows - 1](t);
}
template <typename Arithmetic>
void multiply(const GemmTile& t) {
  multiply_rows<Arithmetic>(t, std::make_integer_sequence<int, kTileRows>());
}

/// Transposes 16 x 16 units.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4 q + c] holds, in its 128-bit lane p, column 4 p + c of rows 4 q … 4 q + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x44),
                  high01 = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xee);
    const __m512i low23 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x44);
    const __m512i high23 = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xee);
    t[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    t[8 + c] = _mm512_shuffle_i32x4(high01, high23, 0x88);
    t[12 + c] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

template <typename Arithmetic>
void pack_b_transposed(const char* from, int64_t stride, int64_t k_left, int columns, uint32_t* to, int64_t units) {
  constexpr int kHalves = Arithmetic::kElementBytes / 2;  // 16-bit pieces of an element
  for (int64_t u = 0; u < units; u += 16) {
    const __mmask32 mask = mask32(k_left * kHalves - u * 2);
    const int count = static_cast<int>(std::min<int64_t>(16, units - u));
    for (int first = 0; first < kPanelColumns; first += 16) {
      __m512i block[16];
      for (int j = 0; j < 16; ++j)
        block[j] = first + j < columns ? _mm512_maskz_loadu_epi16(mask, from + (first + j) * stride + u * 4)
                                       : _mm512_setzero_si512();
      transpose(block);
      for (int i = 0; i < count; ++i) _mm512_storeu_si512(to + (u + i) * kPanelColumns + first, block[i]);
    }
  }
}

template <typename Arithmetic>
void pack_b(const char* from, int64_t stride, int64_t k_left, int columns, uint32_t* to, int64_t units) {
  const typename Arithmetic::Rows rows{from, stride, k_left};
  for (int64_t u = 0; u < units; ++u, to += kPanelColumns)
    for (int j = 0; j < kPanelColumns; j += 16) {
      rows.prefetch(u + kPrefetchUnits, j);
      _mm512_storeu_si512(to + j, rows.units(u, j, mask16(columns - j)));
    }
}

template <typename Arithmetic>
void pack_a_transposed(const char* from, int64_t stride, int64_t k_left, int64_t count, uint32_t* to, int64_t units,
                       float* sums) {
  const typename Arithmetic::Rows rows{from, stride, k_left};
  const __mmask16 full = mask16(kTileRows);
  // Unit by unit across the strips, as the memory read lies.
  for (int64_t u = 0; u < units; ++u) {
    for (int64_t first = 0; first < count; first += kTileRows) {
      const __mmask16 mask = count - first >= kTileRows ? full : mask16(static_cast<int>(count - first));
      rows.prefetch(u + kPrefetchUnits, first);
      const __m512i packed = rows.units(u, first, mask);
      _mm512_mask_storeu_epi32(to + first * units + u * kTileRows, full, packed);
      if (sums == nullptr) continue;
      float* sum = sums + first / kTileRows * 16;
      _mm512_storeu_ps(sum, Arithmetic::add_unit(_mm512_loadu_ps(sum), packed));
    }
  }
}

}  // namespace

}  // namespace skipattn::model::cpu
