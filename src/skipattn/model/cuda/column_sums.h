// Sums over the rows of a matrix, in one order whatever the card: gradients of biases, and the last step of sums that a
// kernel kept in parts.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct ColumnSums {
  const void* matrix;  ///< [rows, columns], fp32 or bf16
  int64_t rows, columns;
  int64_t stride;  ///< elements from row to row
  bool bf16;
  float* sums;  ///< [columns]
  bool add;     ///< add to sums instead of setting them
};

/// Parts that sum_columns() of so many rows goes through; 1: none.
int64_t column_sum_parts(int64_t rows);

/// `parts`: scratch, column_sum_parts(rows) * columns elements; may be null for one part.
void sum_columns(const ColumnSums& call, float* parts, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
