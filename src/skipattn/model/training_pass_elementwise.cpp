// What a training pass does between its products: where queries and keys are normed and turned to their positions, and the
// MLP's activation.
#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/fused/gelu.h"
#include "skipattn/model/fused/head_norm.h"
#include "skipattn/model/fused/rotary.h"
#include "skipattn/model/fused/swiglu.h"
#include "skipattn/model/training_pass.h"

namespace skipattn::model {

namespace {

/// Heads [begin, begin + count) of a projection [B, T, rows] as rows [N, count * d].
at::Tensor head_rows(const at::Tensor& fused, const LayerLayout& layout, int64_t begin, int64_t count) {
  return fused.view({-1, fused.size(2)}).narrow(1, begin * layout.head_width, count * layout.head_width);
}

}  // namespace

void TrainingPass::make_rotary_table(const Input& input) {
  const ModelConfig& config = decoder_.config();
  // Positions of a card's tensor are not looked at: that would wait for the card.
  const int64_t needed = !input.positions      ? shape_.length
                         : positions_.is_cpu() ? positions_.max().item<int64_t>() + 1
                                               : config.positions;
  if (rotary_table_.defined() && rotary_table_.size(0) >= needed) return;
  rotary_table_ =
      fused::rotary_table(needed, rotary_frequencies(config.rotary, config.head_width)).to(positions_.device());
}

/// Queries and keys become what attention reads, in place. Other layers read the keys as they are then.
void TrainingPass::place_heads(int64_t layer, const LayerBuffers& to) const {
  const LayerLayout& layout = decoder_.layouts()[layer];
  const LayerWeights& weights = weights_[layer];
  if (weights.query_norm.defined()) {
    const OperationTimer timer("norm forward");
    const int64_t split = layout.heads * layout.head_width;
    fused::head_norm_forward(head_rows(to.qkv, layout, 0, layout.heads), to.unnormed.narrow(1, 0, split),
                             norm_parameters(layout, weights.query_norm));
    if (layout.live_keys > 0)
      fused::head_norm_forward(head_rows(to.qkv, layout, layout.heads, layout.live_keys),
                               to.unnormed.narrow(1, split, layout.live_keys * layout.head_width),
                               norm_parameters(layout, weights.key_norm));
  }
  if (!rotary_table_.defined()) return;
  const OperationTimer timer("rotary forward");
  fused::rotate(head_rows(to.qkv, layout, 0, layout.heads + layout.live_keys), positions_, rotary_table_,
                fused::Turn::kForward);
}

/// The gradient of what attention read becomes the projection's, in place.
void TrainingPass::backward_place_heads(int64_t layer, const ParameterGradients& gradients) const {
  const LayerLayout& layout = decoder_.layouts()[layer];
  const LayerWeights& weights = weights_[layer];
  const LayerIndex& index = decoder_.table().layers[layer];
  const at::Tensor& gradient = buffers_.qkv_gradient[layer];
  if (rotary_table_.defined()) {
    const OperationTimer timer("rotary backward");
    fused::rotate(head_rows(gradient, layout, 0, layout.heads + layout.live_keys), positions_, rotary_table_,
                  fused::Turn::kBack);
  }
  if (!weights.query_norm.defined()) return;
  const OperationTimer timer("norm backward");
  const auto norm_heads = [&](int64_t begin, int64_t count, const at::Tensor& weight, int weight_index) {
    const at::Tensor& kept = buffers_.backward[layer].unnormed;
    fused::head_norm_backward({.kept = kept.narrow(1, begin * layout.head_width, count * layout.head_width),
                               .gradient = head_rows(gradient, layout, begin, count),
                               .weight_gradient = gradients.at(weight_index),
                               .add = gradients.add,
                               .scratch = buffers_.norm_sums},
                              norm_parameters(layout, weight));
  };
  norm_heads(0, layout.heads, weights.query_norm, index.query_norm);
  if (layout.live_keys > 0) norm_heads(layout.heads, layout.live_keys, weights.key_norm, index.key_norm);
}

void TrainingPass::activate(int64_t layer) const {
  const Activation activation = decoder_.layouts()[layer].activation;
  const at::Tensor& hidden = buffers_.forward[layer].hidden;
  if (activation == Activation::kSwiGlu) {
    const OperationTimer timer("swiglu forward");
    return fused::swiglu_forward(hidden, buffers_.activated[layer]);
  }
  const OperationTimer timer("gelu forward");
  fused::gelu_forward(hidden, buffers_.activated[layer], activation == Activation::kGelu);
}

/// From the gradient of the activation's output. Both results lie where its input and that gradient were.
TrainingPass::ActivationBackward TrainingPass::backward_activate(int64_t layer) const {
  const Activation activation = decoder_.layouts()[layer].activation;
  const at::Tensor &hidden = buffers_.backward[layer].hidden, &gradient = buffers_.hidden_gradient[layer];
  if (activation == Activation::kSwiGlu) {
    const OperationTimer timer("swiglu backward");
    fused::swiglu_backward(hidden, gradient, gradient);
    return {.activated = gradient, .up_gradient = hidden};
  }
  const OperationTimer timer("gelu backward");
  fused::gelu_backward(hidden, gradient, hidden, activation == Activation::kGelu);
  return {.activated = hidden, .up_gradient = gradient};
}

}  // namespace skipattn::model
