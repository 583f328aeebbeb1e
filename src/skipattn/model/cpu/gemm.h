// Our matrix product for AVX-512 processors, for what the library's product does badly in training: results into given
// memory, weight gradients added up in fp32, transposed operands at full speed, column sums on the way.
//
//   C [M, N] = A [M, K] B [K, N] (+ C) (+ bias)
//
// bf16 operands need AVX512_BF16, fp32 ones AVX-512. Sums are fp32, in an order that depends on the sizes alone: the same
// result for any number of threads. Background: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication".
#pragma once

#include <cstdint>

namespace skipattn::model::cpu {

/// A matrix in memory: element (row, column) at data[row * stride + column], or [column * stride + row] when transposed.
struct GemmOperand {
  const void* data = nullptr;
  int64_t stride = 0;
  bool transposed = false;
};

struct GemmProblem {
  int64_t m = 0, n = 0, k = 0;
  GemmOperand a, b;            ///< both of one type
  bool bf16 = false;           ///< a, b and bias are bf16; otherwise fp32
  const void* bias = nullptr;  ///< [N], added to every row of C; null: none
  void* c = nullptr;           ///< row-major
  int64_t c_stride = 0;
  bool c_bf16 = false;
  bool add = false;  ///< add to C (fp32 only)
  float* row_sums =
      nullptr;  ///< out, [M]: the sums of A's rows (added with `add`); null: not wanted. A transposed only
};

/// Whether gemm() runs here for this type of operands.
bool has_gemm(bool bf16);

void gemm(const GemmProblem& problem);

}  // namespace skipattn::model::cpu
