// The layers of a training pass, forward.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/model/fused/dropout.h"
#include "skipattn/model/matmul.h"
#include "skipattn/model/training_pass.h"

namespace skipattn::model {

namespace {

/// `count` heads of a fused projection [B, T, rows] from head `begin` on, as a view [B, count, T, d].
at::Tensor head_view(const at::Tensor& fused, int64_t begin, int64_t count, int64_t head_width) {
  return fused.narrow(2, begin * head_width, count * head_width)
      .view({fused.size(0), fused.size(1), count, head_width})
      .transpose(1, 2);
}

/// [B, T, …] as [N, everything else].
at::Tensor as_rows(const at::Tensor& x) {
  return x.view({x.size(0) * x.size(1), -1});
}

}  // namespace

at::Tensor TrainingPass::query_heads(int64_t layer, const at::Tensor& qkv) const {
  return head_view(qkv, 0, decoder_.layouts()[layer].heads, decoder_.layouts()[layer].head_width);
}

at::Tensor TrainingPass::own_heads(int64_t layer, bool is_value, const at::Tensor& qkv) const {
  const LayerLayout& layout = decoder_.layouts()[layer];
  return is_value ? head_view(qkv, layout.heads + layout.live_keys, layout.live_values, layout.head_width)
                  : head_view(qkv, layout.heads, layout.live_keys, layout.head_width);
}

AttentionInput TrainingPass::attention_input(int64_t layer, const at::Tensor& qkv) {
  const LayerLayout& layout = decoder_.layouts()[layer];
  AttentionInput input;
  input.query = query_heads(layer, qkv);
  for (const LayerLayout::SourceTensor& source : layout.sources) {
    input.panels.push_back(&(source.is_value ? value_panels_ : key_panels_)[source.layer]);
    if (source.layer == layer) {
      input.sources.push_back(own_heads(layer, source.is_value, qkv));
      continue;
    }
    const LentBuffers& lent = (source.is_value ? buffers_.values : buffers_.keys)[source.layer];
    input.sources.push_back(shape_.recompute
                                ? lent.kept.transpose(1, 2)
                                : own_heads(source.layer, source.is_value, buffers_.forward[source.layer].qkv));
  }
  input.pairs = &layout.pairs;
  input.options.scale = layout.softmax_scale;
  const Mask& mask = masks_.at(layout.window);
  input.options.first_key = mask.first_key;
  if (mask.pattern) input.pattern = &*mask.pattern;
  input.options.dropout_p = options_.dropout;
  // The operator takes a signed seed.
  input.options.dropout_seed = static_cast<int64_t>(derive_seed(layer_seed(layer), "attention") >> 1);
  return input;
}

/// Before a pass over the layers: nothing is packed, and where it will be.
void TrainingPass::place_panels(bool backward) {
  const auto memory = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; };
  for (const bool is_value : {false, true}) {
    auto& panels = is_value ? value_panels_ : key_panels_;
    const auto& buffers = is_value ? buffers_.value_panels : buffers_.key_panels;
    panels.resize(buffers.size());
    for (size_t l = 0; l < panels.size(); ++l) {
      if (backward)
        panels[l].lie_in(memory(buffers[l].backward_rows), memory(buffers[l].backward_pairs));
      else
        panels[l].lie_in(is_value ? nullptr : memory(buffers[l].forward),
                         is_value ? memory(buffers[l].forward) : nullptr);
    }
  }
}

/// After the forward pass of `layer`: what no later layer reads need not stay packed.
void TrainingPass::forget_read_panels(int64_t layer) {
  for (const LayerLayout::SourceTensor& source : decoder_.layouts()[layer].sources) {
    const LentBuffers& lent = (source.is_value ? buffers_.values : buffers_.keys)[source.layer];
    if (lent.last_reader <= layer) (source.is_value ? value_panels_ : key_panels_)[source.layer].forget();
  }
}

uint64_t TrainingPass::layer_seed(int64_t layer) const {
  return derive_seed(options_.dropout_seed, fmt::format("layer {}", layer));
}

void TrainingPass::drop(const at::Tensor& x, int64_t layer, const char* place) const {
  if (options_.dropout <= 0) return;
  const OperationTimer timer("dropout");
  fused::drop_in_place(x, options_.dropout, derive_seed(layer_seed(layer), place));
}

fused::NormParameters TrainingPass::norm1(int64_t layer) const {
  return norm_parameters(decoder_.layouts()[layer], weights_[layer].norm1_weight, weights_[layer].norm1_bias);
}
fused::NormParameters TrainingPass::norm2(int64_t layer) const {
  return norm_parameters(decoder_.layouts()[layer], weights_[layer].norm2_weight, weights_[layer].norm2_bias);
}

void TrainingPass::start_layer(int64_t layer) {
  const OperationTimer timer("norm forward");
  fused::NormForward call;
  call.normed = buffers_.normed[layer];
  call.statistics = buffers_.forward[layer].statistics1;
  if (layer == 0) {
    call.residual = buffers_.residual[0];
  } else {  // what the layer below made is added on the way
    call.residual = buffers_.forward[layer - 1].middle;
    call.branch = buffers_.branch[layer - 1];
    call.sum = buffers_.residual[layer];
  }
  fused::layer_norm_forward(call, norm1(layer));
}

void TrainingPass::attend_layer(int64_t layer, const LayerBuffers& to, const at::Tensor& normed) {
  const LayerWeights& weights = weights_[layer];
  {
    const OperationTimer timer("gemm forward");
    linear_forward(as_rows(to.qkv), normed, weights.qkv_weight, weights.qkv_bias);
  }
  place_heads(layer, to);
  const OperationTimer timer("attention forward");
  attend(attention_input(layer, to.qkv), {to.attended, to.logsumexp});
}

void TrainingPass::forward_middle(int64_t layer, const LayerBuffers& to, const at::Tensor& normed,
                                  const at::Tensor& branch) {
  const LayerWeights& weights = weights_[layer];
  {
    const OperationTimer timer("gemm forward");
    linear_forward(branch, as_rows(to.attended), weights.output_weight, weights.output_bias);
  }
  drop(branch, layer, "attention output");
  {
    const OperationTimer timer("norm forward");
    fused::layer_norm_forward({.residual = buffers_.residual[layer],
                               .branch = branch,
                               .sum = to.middle,
                               .normed = normed,
                               .statistics = to.statistics2},
                              norm2(layer));
  }
  const OperationTimer timer("gemm forward");
  linear_forward(to.hidden, normed, weights.up_weight, weights.up_bias);
}

void TrainingPass::forward_layer(int64_t layer) {
  const LayerBuffers& to = buffers_.forward[layer];
  const at::Tensor &normed = buffers_.normed[layer], &branch = buffers_.branch[layer];
  start_layer(layer);
  attend_layer(layer, to, normed);
  forget_read_panels(layer);
  lend(layer, to);
  forward_middle(layer, to, normed, branch);
  activate(layer);
  {
    const OperationTimer timer("gemm forward");
    linear_forward(branch, buffers_.activated[layer], weights_[layer].down_weight, weights_[layer].down_bias);
  }
  drop(branch, layer, "mlp output");
}

void TrainingPass::rerun_layer(int64_t layer) {
  const LayerBuffers& to = buffers_.backward[layer];
  const at::Tensor& normed = buffers_.rerun_normed[layer];
  {
    const OperationTimer timer("norm forward");
    fused::layer_norm_forward({.residual = buffers_.residual[layer], .normed = normed, .statistics = to.statistics1},
                              norm1(layer));
  }
  attend_layer(layer, to, normed);
  forward_middle(layer, to, normed, buffers_.rerun_branch[layer]);
}

void TrainingPass::lend(int64_t layer, const LayerBuffers& from) {
  for (const bool is_value : {false, true}) {
    const LentBuffers& lent = (is_value ? buffers_.values : buffers_.keys)[layer];
    if (lent.kept.defined()) at::Tensor(lent.kept).transpose(1, 2).copy_(own_heads(layer, is_value, from.qkv));
  }
}

}  // namespace skipattn::model
