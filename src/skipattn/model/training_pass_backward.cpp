// The layers of a training pass, backward.
#include <ATen/ATen.h>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/fused/column_sums.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/matmul.h"
#include "skipattn/model/training_pass.h"

namespace skipattn::model {

namespace {

at::Tensor as_rows(const at::Tensor& x) {
  return x.view({x.size(0) * x.size(1), -1});
}

}  // namespace

at::Tensor TrainingPass::bias_in_passing(const ParameterGradients& gradients, int bias) const {
  // Dropout would come between the sums and the product.
  const bool in_passing = options_.dropout == 0 && fused::sums_in_passing(buffers_.gradient.device());
  return in_passing ? gradients.at(bias) : at::Tensor();
}

LinearGradient TrainingPass::linear_after(const ParameterGradients& gradients, int weight, int bias) const {
  return gradients.linear(weight, bias_in_passing(gradients, bias).defined() ? -1 : bias);
}

void TrainingPass::backward_mlp(int64_t layer, const ParameterGradients& gradients) {
  const LayerBuffers& from = buffers_.backward[layer];
  const LayerWeights& weights = weights_[layer];
  const LayerIndex& index = decoder_.table().layers[layer];
  const at::Tensor& hidden_gradient = buffers_.hidden_gradient[layer];
  drop(buffers_.rounded, layer, "mlp output");
  {
    const OperationTimer timer("gemm backward");
    linear_input_gradient(hidden_gradient, buffers_.rounded, weights.down_weight);
  }
  const auto [activated, up_gradient] = backward_activate(layer, gradients);
  {
    const OperationTimer timer("gemm backward");
    linear_weight_gradient(linear_after(gradients, index.down_weight, index.down_bias), buffers_.rounded, activated);
    linear_input_gradient(buffers_.normed2_gradient[layer], up_gradient, weights.up_weight);
  }
  {
    const OperationTimer timer("norm backward");
    fused::layer_norm_backward({.input = from.middle,
                                .statistics = from.statistics2,
                                .normed_gradient = buffers_.normed2_gradient[layer],
                                .gradient = buffers_.gradient,
                                .rounded = buffers_.rounded,
                                .rounded_sums = bias_in_passing(gradients, index.output_bias),
                                .normed = buffers_.normed2[layer],
                                .weight_gradient = gradients.at(index.norm2_weight),
                                .bias_gradient = gradients.at(index.norm2_bias),
                                .add = gradients.add,
                                .scratch = buffers_.norm_sums},
                               norm2(layer));
  }
  const OperationTimer timer("gemm backward");
  const bool is_summed = decoder_.layouts()[layer].activation != Activation::kSwiGlu;
  linear_weight_gradient(is_summed ? linear_after(gradients, index.up_weight, index.up_bias)
                                   : gradients.linear(index.up_weight, index.up_bias),
                         up_gradient, buffers_.normed2[layer]);
}

void TrainingPass::backward_attention(int64_t layer, const ParameterGradients& gradients) {
  const LayerBuffers& from = buffers_.backward[layer];
  const LayerWeights& weights = weights_[layer];
  const LayerIndex& index = decoder_.table().layers[layer];
  const at::Tensor& attended_gradient = buffers_.attended_gradient[layer];
  drop(buffers_.rounded, layer, "attention output");
  {
    const OperationTimer timer("gemm backward");
    linear_input_gradient(attended_gradient, buffers_.rounded, weights.output_weight);
    linear_weight_gradient(linear_after(gradients, index.output_weight, index.output_bias), buffers_.rounded,
                           as_rows(from.attended));
  }
  const OperationTimer timer("attention backward");
  const at::Tensor& qkv_gradient = buffers_.qkv_gradient[layer];
  attend_backward(attention_input(layer, from.qkv), {from.attended, from.logsumexp},
                  attended_gradient.view(from.attended.sizes()), query_heads(layer, qkv_gradient),
                  source_gradients(layer, qkv_gradient));
  // Layers above have been here already: nobody reads this layer's own keys and values any more.
  key_panels_[layer].forget();
  value_panels_[layer].forget();
  finish_lent(layer, qkv_gradient);
}

std::vector<SourceGradient> TrainingPass::source_gradients(int64_t layer, const at::Tensor& qkv_gradient) const {
  std::vector<SourceGradient> targets;
  for (const LayerLayout::SourceTensor& source : decoder_.layouts()[layer].sources) {
    const LentBuffers& lent = (source.is_value ? buffers_.values : buffers_.keys)[source.layer];
    SourceGradient target;
    if (lent.last_reader >= 0) target.sum = lent.gradient.transpose(1, 2);
    target.first = lent.last_reader == layer;
    // The layers above have all been here before the lender itself.
    if (source.layer == layer) target.finished = own_heads(layer, source.is_value, qkv_gradient);
    targets.push_back(std::move(target));
  }
  return targets;
}

void TrainingPass::finish_lent(int64_t layer, const at::Tensor& qkv_gradient) const {
  const auto& sources = decoder_.layouts()[layer].sources;
  for (const bool is_value : {false, true}) {
    const LentBuffers& lent = (is_value ? buffers_.values : buffers_.keys)[layer];
    const auto own = [&](const auto& source) { return source.layer == layer && source.is_value == is_value; };
    if (lent.last_reader < 0 || std::any_of(sources.begin(), sources.end(), own)) continue;
    own_heads(layer, is_value, qkv_gradient).copy_(lent.gradient.transpose(1, 2));  // only others read them
  }
}

void TrainingPass::backward_projection(int64_t layer, const ParameterGradients& gradients) {
  const LayerBuffers& from = buffers_.backward[layer];
  const LayerIndex& index = decoder_.table().layers[layer];
  const at::Tensor qkv_gradient = as_rows(buffers_.qkv_gradient[layer]);
  const at::Tensor bias_below =
      layer > 0 ? bias_in_passing(gradients, decoder_.table().layers[layer - 1].down_bias) : at::Tensor();
  backward_place_heads(layer, gradients);
  {
    const OperationTimer timer("gemm backward");
    linear_input_gradient(buffers_.normed1_gradient[layer], qkv_gradient, weights_[layer].qkv_weight);
  }
  {
    const OperationTimer timer("norm backward");
    fused::layer_norm_backward({.input = buffers_.residual[layer],
                                .statistics = from.statistics1,
                                .normed_gradient = buffers_.normed1_gradient[layer],
                                .gradient = buffers_.gradient,
                                .rounded = buffers_.rounded,
                                .rounded_sums = bias_below,
                                .normed = buffers_.normed1[layer],
                                .weight_gradient = gradients.at(index.norm1_weight),
                                .bias_gradient = gradients.at(index.norm1_bias),
                                .add = gradients.add,
                                .scratch = buffers_.norm_sums},
                               norm1(layer));
  }
  const OperationTimer timer("gemm backward");
  linear_weight_gradient(gradients.linear(index.qkv_weight, index.qkv_bias), qkv_gradient, buffers_.normed1[layer]);
}

}  // namespace skipattn::model
