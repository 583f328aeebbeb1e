// What gemm.cpp asks of an instruction set: packing operands and multiplying packed pieces. Sizes here are in units: a unit
// is 4 bytes of consecutive k, one fp32 or two bf16, so that both types share all layouts.
#pragma once

#include <cstdint>

namespace skipattn::model::cpu {

inline constexpr int kPanelColumns = 32;  ///< columns of C that a tile covers
inline constexpr int kTileRows = 12;      ///< rows of C that a tile covers: 12 x 2 registers of 16 sums

/// One tile: up to kTileRows x kPanelColumns elements of C over some units.
struct GemmTile {
  const char* a;  ///< unit (row, u) at a + row * a_row + 4 u bytes; packed: a strip [units][kTileRows]
  int64_t a_row;  ///< bytes; not for packed strips
  bool packed;
  const uint32_t* b;  ///< packed panel [units][kPanelColumns]
  int64_t units;
  int rows, columns;    ///< 1 … kTileRows, 1 … kPanelColumns
  const float* before;  ///< [rows] before_row apart, added at the end, or null
  int64_t before_row;
  const void* bias;  ///< [columns], operand type, added at the end; null: none
  float* sums;       ///< fp32 result, or null
  void* c;           ///< bf16 result, where sums is null
  int64_t c_row;     ///< elements between rows of the result
};

/// One instruction set's functions.
struct GemmKernel {
  void (*tile)(const GemmTile& tile);
  /// Packs units [0, units) of `columns` <= kPanelColumns columns of B, zeros after them. Transposed: column j's units lie at
  /// from + j * stride; otherwise row k's elements at from + k * stride (bytes), `k_left` rows being there.
  void (*pack_b_transposed)(const char* from, int64_t stride, int64_t k_left, int columns, uint32_t* to, int64_t units);
  void (*pack_b)(const char* from, int64_t stride, int64_t k_left, int columns, uint32_t* to, int64_t units);
  /// Packs a transposed A: rows k of `count` elements at from + k * stride, into strips of kTileRows rows of A:
  /// to[strip][unit][kTileRows]. Adds their sums over k to
  /// sums[strip][16] unless null.
  void (*pack_a_transposed)(const char* from, int64_t stride, int64_t k_left, int64_t count, uint32_t* to,
                            int64_t units, float* sums);
};

/// For bf16 and for fp32 operands; null where the processor cannot.
const GemmKernel* bf16_kernel();
const GemmKernel* fp32_kernel();

}  // namespace skipattn::model::cpu
