// Embeddings (../fused/embedding.h) on a card, by plain pointers.
#pragma once

#include "skipattn/core/cuda/launch.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

struct EmbedRows {
  const void* token_table;     ///< [., width]
  const void* position_table;  ///< or null
  const int64_t* tokens;       ///< [rows], each a row of its table
  const int64_t* positions;
  float* residual;  ///< [rows, width]
  int64_t rows, width;
  bool bf16;  ///< the tables; else fp32
};
void embed_rows(const EmbedRows& rows, skipattn::cuda::Stream stream);

struct EmbeddingGradient {
  float* table;               ///< [., width]: gradients are added
  const int64_t* sorted_ids;  ///< [rows], ascending
  const int64_t* order;       ///< [rows]: which row of `gradient` belongs to the id
  const float* gradient;      ///< [rows, width]
  int64_t rows, width;
};
/// Rows of one id are added in their order, so the sums are the same every time.
void add_embedding_rows(const EmbeddingGradient& call, skipattn::cuda::Stream stream);

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
