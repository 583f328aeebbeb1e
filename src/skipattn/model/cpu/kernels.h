// The CPU's fused kernels; the headers in ../fused say what each does.
#pragma once

#include "skipattn/model/fused/kernels.h"

namespace skipattn::model::cpu {

using fused::HeadNormBackward;
using fused::NormBackward;
using fused::NormForward;
using fused::NormParameters;
using fused::Turn;

void layer_norm_forward(const NormForward& call, const NormParameters& norm);
void layer_norm_backward(const NormBackward& call, const NormParameters& norm);
void head_norm_forward(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm);
void head_norm_backward(const HeadNormBackward& call, const NormParameters& norm);
void rotate(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& table, Turn turn);
void gelu_forward(const at::Tensor& input, const at::Tensor& output, bool exact);
void gelu_backward(const at::Tensor& input, const at::Tensor& gradient, const at::Tensor& output, bool exact,
                   const fused::SumsInPassing& sums);
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& output);
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& output_gradient, const at::Tensor& output);
void embed(const at::Tensor& token_table, const at::Tensor& token_ids, const at::Tensor& position_table,
           const at::Tensor& position_ids, const at::Tensor& residual);
void add_embedding_gradient(const at::Tensor& table_gradient, const at::Tensor& ids, const at::Tensor& gradient);
void dropout_mask(const at::Tensor& mask, double p, uint64_t seed);
void drop_in_place(const at::Tensor& x, double p, uint64_t seed);
void set_to_zero(const at::Tensor& tensor);
void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add);

}  // namespace skipattn::model::cpu
