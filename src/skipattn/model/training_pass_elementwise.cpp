// What a training pass does between its products: where queries and keys are normed and turned to their positions, and the
// MLP's activation.
#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/fused/gelu.h"
#include "skipattn/model/fused/head_norm.h"
#include "skipattn/model/fused/rotary.h"
#include "skipattn/model/fused/swiglu.h"
#include "skipattn/model/fused_layer.h"
#include "skipattn/model/training_pass.h"

namespace skipattn::model {

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

void TrainingPass::place_heads(int64_t layer, const LayerBuffers& to) const {
  place_heads_fused(
      decoder_.layouts()[layer], weights_[layer],
      {.qkv = to.qkv.flatten(0, 1), .unnormed = to.unnormed, .positions = positions_, .rotary_table = rotary_table_});
}

/// The gradient of what attention read becomes the projection's, in place.
void TrainingPass::backward_place_heads(int64_t layer, const ParameterGradients& gradients) const {
  const LayerLayout& layout = decoder_.layouts()[layer];
  const LayerWeights& weights = weights_[layer];
  const LayerIndex& index = decoder_.table().layers[layer];
  const at::Tensor gradient = buffers_.qkv_gradient[layer].flatten(0, 1);
  if (rotary_table_.defined()) {
    const OperationTimer timer("rotary backward");
    fused::rotate(head_columns(gradient, layout, 0, layout.heads + layout.live_keys), positions_, rotary_table_,
                  fused::Turn::kBack);
  }
  if (!weights.query_norm.defined()) return;
  const OperationTimer timer("norm backward");
  const auto norm_heads = [&](int64_t begin, int64_t count, const at::Tensor& weight, int weight_index) {
    const at::Tensor& kept = buffers_.backward[layer].unnormed;
    fused::head_norm_backward({.kept = head_columns(kept, layout, begin, count),
                               .gradient = head_columns(gradient, layout, begin, count),
                               .weight_gradient = gradients.at(weight_index),
                               .add = gradients.add,
                               .scratch = buffers_.norm_sums},
                              norm_parameters(layout, weight));
  };
  norm_heads(0, layout.heads, weights.query_norm, index.query_norm);
  if (layout.live_keys > 0) norm_heads(layout.heads, layout.live_keys, weights.key_norm, index.key_norm);
}

void TrainingPass::activate(int64_t layer) const {
  activate_fused(buffers_.forward[layer].hidden, buffers_.activated[layer], decoder_.layouts()[layer].activation);
}

/// From the gradient of the activation's output. Both results lie where its input and that gradient were.
TrainingPass::ActivationBackward TrainingPass::backward_activate(int64_t layer,
                                                                 const ParameterGradients& gradients) const {
  const Activation activation = decoder_.layouts()[layer].activation;
  const at::Tensor &hidden = buffers_.backward[layer].hidden, &gradient = buffers_.hidden_gradient[layer];
  if (activation == Activation::kSwiGlu) {
    const OperationTimer timer("swiglu backward");
    fused::swiglu_backward(hidden, gradient, gradient);
    return {.activated = gradient, .up_gradient = hidden};
  }
  const OperationTimer timer("gelu backward");
  const at::Tensor bias = bias_in_passing(gradients, decoder_.table().layers[layer].up_bias);
  fused::gelu_backward(hidden, gradient, hidden, activation == Activation::kGelu, {.to = bias, .add = gradients.add});
  return {.activated = hidden, .up_gradient = gradient};
}

}  // namespace skipattn::model
