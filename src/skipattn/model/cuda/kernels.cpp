// From tensors to the plain pointers that kernel files know.
#include "skipattn/model/fused/kernels.h"

#include <ATen/ATen.h>

#include "skipattn/core/cuda/stream.h"
#include "skipattn/core/cuda/tensor.h"
#include "skipattn/model/cuda/activation.h"
#include "skipattn/model/cuda/column_sums.h"
#include "skipattn/model/cuda/dropout.h"
#include "skipattn/model/cuda/embedding.h"
#include "skipattn/model/cuda/head_norm.h"
#include "skipattn/model/cuda/layer_norm.h"
#include "skipattn/model/cuda/rotary.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using fused::HeadNormBackward;
using fused::NormBackward;
using fused::NormForward;
using fused::NormParameters;
using skipattn::cuda::current_stream;
using skipattn::cuda::is_bf16;
using skipattn::cuda::pointer;

void layer_norm_forward(const NormForward& call, const NormParameters& norm) {
  norm_rows_forward({.residual = pointer<float>(call.residual),
                     .branch = pointer(call.branch),
                     .sum = pointer<float>(call.sum),
                     .normed = pointer(call.normed),
                     .statistics = pointer<float>(call.statistics),
                     .weight = pointer<float>(norm.weight),
                     .bias = pointer<float>(norm.bias),
                     .rows = call.residual.size(0),
                     .width = call.residual.size(1),
                     .epsilon = static_cast<float>(norm.epsilon),
                     .centred = norm.centred,
                     .bf16 = is_bf16(call.normed)},
                    current_stream(call.normed.device()));
}

/// total [width] (= or +=) the sum of `count` parts that lie `stride` apart.
void join_parts(const float* parts, int64_t count, int64_t stride, const at::Tensor& total, bool add) {
  sum_columns({.matrix = parts,
               .rows = count,
               .columns = total.size(0),
               .stride = stride,
               .bf16 = false,
               .sums = pointer<float>(total),
               .add = add},
              nullptr, current_stream(total.device()));
}

void layer_norm_backward(const NormBackward& call, const NormParameters& norm) {
  const int64_t width = call.input.size(1);
  float* parts = pointer<float>(call.scratch);
  const at::Tensor rounded_parts =
      call.rounded_sums.defined() ? at::empty({fused::kNormParts, width}, call.rounded_sums.options()) : at::Tensor();
  const int64_t count = norm_rows_backward({.input = pointer<float>(call.input),
                                            .statistics = pointer<float>(call.statistics),
                                            .normed_gradient = pointer(call.normed_gradient),
                                            .gradient = pointer<float>(call.gradient),
                                            .rounded = pointer(call.rounded),
                                            .normed = pointer(call.normed),
                                            .weight = pointer<float>(norm.weight),
                                            .bias = pointer<float>(norm.bias),
                                            .parts = parts,
                                            .rounded_parts = pointer<float>(rounded_parts),
                                            .rows = call.input.size(0),
                                            .width = width,
                                            .first = call.first,
                                            .centred = norm.centred,
                                            .bf16 = is_bf16(call.normed_gradient)},
                                           current_stream(call.gradient.device()));
  join_parts(parts, count, 2 * width, call.weight_gradient, call.add);
  if (call.bias_gradient.defined()) join_parts(parts + width, count, 2 * width, call.bias_gradient, call.add);
  if (call.rounded_sums.defined()) join_parts(pointer<float>(rounded_parts), count, width, call.rounded_sums, call.add);
}

HeadNormRows head_rows(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm) {
  const int64_t d = norm.weight.size(0);
  return {.x = pointer(x),
          .kept = pointer(kept),
          .weight = pointer<float>(norm.weight),
          .parts = nullptr,
          .rows = x.size(0),
          .heads = x.size(1) / d,
          .head_width = d,
          .x_stride = x.stride(0),
          .kept_stride = kept.stride(0),
          .epsilon = static_cast<float>(norm.epsilon),
          .bf16 = is_bf16(x)};
}

void head_norm_forward(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm) {
  head_norm_rows_forward(head_rows(x, kept, norm), current_stream(x.device()));
}

void head_norm_backward(const HeadNormBackward& call, const NormParameters& norm) {
  HeadNormRows rows = head_rows(call.gradient, call.kept, norm);
  rows.parts = pointer<float>(call.scratch);
  const int64_t count = head_norm_rows_backward(rows, current_stream(call.gradient.device()));
  join_parts(rows.parts, count, rows.head_width, call.weight_gradient, call.add);
}

void rotate(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& table, fused::Turn turn) {
  const int64_t half = table.size(2);
  rotate_rows({.x = pointer(x),
               .positions = positions.const_data_ptr<int64_t>(),
               .table = pointer<float>(table),
               .rows = x.size(0),
               .heads = x.size(1) / (2 * half),
               .half = half,
               .stride = x.stride(0),
               .back = turn == fused::Turn::kBack,
               .bf16 = is_bf16(x)},
              current_stream(x.device()));
}

void gelu_forward(const at::Tensor& input, const at::Tensor& output, bool exact) {
  gelu_range({pointer(input), pointer(output), nullptr, input.numel(), exact, is_bf16(input)},
             current_stream(input.device()));
}
void gelu_backward(const at::Tensor& input, const at::Tensor& gradient, const at::Tensor& output, bool exact,
                   const fused::SumsInPassing& sums) {
  const GeluRange range = {pointer(input), pointer(output), pointer(gradient), input.numel(), exact, is_bf16(input)};
  if (!sums.to.defined()) return gelu_range(range, current_stream(input.device()));
  const int64_t count = gelu_sum_parts(input.size(0)), columns = input.size(1);
  const at::Tensor parts = at::empty({count, columns}, sums.to.options());
  gelu_rows_with_sums(range, columns, pointer<float>(parts), current_stream(input.device()));
  join_parts(pointer<float>(parts), count, columns, sums.to, sums.add);
}

void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& output) {
  swiglu_rows({pointer(gate_up), nullptr, pointer(output), output.size(0), output.size(1), is_bf16(gate_up)},
              current_stream(output.device()));
}
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& output_gradient, const at::Tensor& output) {
  swiglu_rows(
      {pointer(gate_up), pointer(output_gradient), pointer(output), output.size(0), output.size(1), is_bf16(gate_up)},
      current_stream(output.device()));
}

/// Ids are the caller's to check: a kernel cannot complain.
void embed(const at::Tensor& token_table, const at::Tensor& token_ids, const at::Tensor& position_table,
           const at::Tensor& position_ids, const at::Tensor& residual) {
  embed_rows({.token_table = pointer(token_table),
              .position_table = pointer(position_table),
              .tokens = token_ids.const_data_ptr<int64_t>(),
              .positions = position_ids.defined() ? position_ids.const_data_ptr<int64_t>() : nullptr,
              .residual = pointer<float>(residual),
              .rows = token_ids.numel(),
              .width = residual.size(-1),
              .bf16 = is_bf16(token_table)},
             current_stream(residual.device()));
}

void add_embedding_gradient(const at::Tensor& table_gradient, const at::Tensor& ids, const at::Tensor& gradient) {
  const auto [sorted, order] = at::sort(ids, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  add_embedding_rows({.table = pointer<float>(table_gradient),
                      .sorted_ids = sorted.const_data_ptr<int64_t>(),
                      .order = order.const_data_ptr<int64_t>(),
                      .gradient = pointer<float>(gradient),
                      .rows = ids.numel(),
                      .width = gradient.size(-1)},
                     current_stream(gradient.device()));
}

void drop(const at::Tensor& x, double p, uint64_t seed, bool is_mask) {
  const int64_t width = x.size(-1);
  drop_rows({pointer(x), width > 0 ? x.numel() / width : 0, width, p, seed, is_mask, is_bf16(x)},
            current_stream(x.device()));
}
void dropout_mask(const at::Tensor& mask, double p, uint64_t seed) {
  drop(mask, p, seed, /*is_mask=*/true);
}
void drop_in_place(const at::Tensor& x, double p, uint64_t seed) {
  drop(x, p, seed, /*is_mask=*/false);
}

void set_to_zero(const at::Tensor& tensor) {
  tensor.zero_();
}

void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add) {
  const int64_t parts = column_sum_parts(matrix.size(0));
  const at::Tensor scratch = parts > 1 ? at::empty({parts, matrix.size(1)}, sums.options()) : at::Tensor();
  sum_columns({.matrix = pointer(matrix),
               .rows = matrix.size(0),
               .columns = matrix.size(1),
               .stride = matrix.stride(0),
               .bf16 = is_bf16(matrix),
               .sums = pointer<float>(sums),
               .add = add},
              pointer<float>(scratch), current_stream(sums.device()));
}

}  // namespace

const fused::Kernels* kernels() {
  static constexpr fused::Kernels table = {.layer_norm_forward = layer_norm_forward,
                                           .layer_norm_backward = layer_norm_backward,
                                           .head_norm_forward = head_norm_forward,
                                           .head_norm_backward = head_norm_backward,
                                           .rotate = rotate,
                                           .gelu_forward = gelu_forward,
                                           .gelu_backward = gelu_backward,
                                           .swiglu_forward = swiglu_forward,
                                           .swiglu_backward = swiglu_backward,
                                           .embed = embed,
                                           .add_embedding_gradient = add_embedding_gradient,
                                           .dropout_mask = dropout_mask,
                                           .drop_in_place = drop_in_place,
                                           .set_to_zero = set_to_zero,
                                           .column_sums = column_sums,
                                           .sums_in_passing = true};
  return &table;
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
