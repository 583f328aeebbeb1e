// A weight matrix times a few vectors: what decoding does. The matrix is read once, row after row as it lies in memory,
// and turned to fp32 on the way; vectors and sums are fp32. A vector's result does not depend on the others beside it.
#pragma once

#include "skipattn/inference/cpu/elements.h"

namespace skipattn::inference::cpu {

/// A matrix [rows, columns], rows dense; kSlack bytes behind it may be read.
struct MatrixView {
  Dtype dtype = Dtype::kFp32;
  const void* data = nullptr;
  const float* scales = nullptr;  ///< int8: [rows]
  int64_t rows = 0;
  int64_t columns = 0;

  int64_t row_bytes() const { return columns * bytes_of(dtype); }
  const char* row(int64_t index) const { return static_cast<const char*>(data) + index * row_bytes(); }
};

/// Ordered rows (elements.h) of the matrix's dtype.
struct Vectors {
  const float* data = nullptr;
  int64_t stride = 0;  ///< padded(columns)
  int64_t count = 0;
};

/// out[v * out_stride + r] = row first + r times vector v, for r in [0, rows).
void dots(const MatrixView& matrix, int64_t first, int64_t rows, const Vectors& vectors, float* out,
          int64_t out_stride);

}  // namespace skipattn::inference::cpu
