// The ends of a training pass: embeddings, the order of the layers, the final norm. Layers are in
// training_pass_forward.cpp and training_pass_backward.cpp.
#include "skipattn/model/training_pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/model/fused/dropout.h"
#include "skipattn/model/fused/embedding.h"
#include "skipattn/model/fused/kernels.h"
#include "skipattn/model/fused/layer_norm.h"

namespace skipattn::model {

TrainingPass::TrainingPass(const Decoder& decoder) : decoder_(decoder) {}

bool TrainingPass::serves(const Decoder& decoder) {
  const at::Tensor& table = decoder.parameters()[decoder.table().token_embedding];
  const at::Tensor& norm = decoder.parameters()[decoder.table().norm_weight];
  const bool type = table.scalar_type() == at::kFloat || table.scalar_type() == at::kBFloat16;
  return fused::has_kernels(table.device()) && type && norm.scalar_type() == at::kFloat;
}

void TrainingPass::prepare(const PassShape& shape) {
  PassShape wanted = shape;
  wanted.device = decoder_.head_weight().device();
  if (wanted == shape_) return;
  masks_.clear();
  buffers_ = {};  // before the new ones are made
  buffers_ = make_pass_buffers(decoder_.config(), decoder_.layouts(), decoder_.dtype(), wanted);
  shape_ = wanted;
}

TrainingPass::Mask TrainingPass::make_mask(const Input& input, int64_t window) const {
  Mask mask{.first_key = window > 0 ? std::optional(windowed_first_key(input, window)) : input.first_key};
  if (!input.first_key || input.documents)
    mask.pattern = attention::cuda::known_key_pattern(shape_.length, window, mask.first_key.value_or(at::Tensor()),
                                                      input.documents.value_or(attention::cuda::DocumentStarts()));
  return mask;
}

void TrainingPass::make_masks(const Input& input) {
  masks_.clear();
  for (const LayerLayout& layout : decoder_.layouts())
    if (!masks_.contains(layout.window)) masks_[layout.window] = make_mask(input, layout.window);
}

void TrainingPass::embed() {
  const OperationTimer timer("embedding forward");
  const auto& parameters = decoder_.parameters();
  const ParameterTable& table = decoder_.table();
  const at::Tensor& residual = buffers_.residual[0];
  fused::embed(parameters[table.token_embedding], tokens_,
               table.position_embedding < 0 ? at::Tensor() : parameters[table.position_embedding], positions_,
               residual);
  if (options_.dropout > 0)
    fused::drop_in_place(residual, options_.dropout, derive_seed(options_.dropout_seed, "embedding"));
}

const at::Tensor& TrainingPass::forward(const Input& input, const PassOptions& options) {
  const c10::NoGradGuard no_grad;
  decoder_.check_input(input);
  TORCH_INTERNAL_ASSERT(input.tokens.size(0) == shape_.batch && input.tokens.size(1) == shape_.length,
                        "training pass prepared for another shape than ", input.tokens.sizes());
  options_ = options;
  tokens_ = input.tokens.reshape({-1});
  positions_ = input.positions ? input.positions->reshape({-1})
                               : at::arange(shape_.length, tokens_.options()).repeat(shape_.batch);
  make_masks(input);
  const int64_t layers = decoder_.config().layers;
  weights_.clear();
  place_panels(/*backward=*/false);
  for (int64_t l = 0; l < layers; ++l) weights_.push_back(decoder_.layer_weights(l));

  embed();
  if (decoder_.config().is_llama()) make_rotary_table(input);
  for (int64_t l = 0; l < layers; ++l) forward_layer(l);
  const OperationTimer timer("norm forward");
  fused::layer_norm_forward({.residual = buffers_.forward[layers - 1].middle,
                             .branch = buffers_.branch[layers - 1],
                             .sum = buffers_.residual[layers],
                             .normed = buffers_.output,
                             .statistics = buffers_.final_statistics},
                            decoder_.final_norm());
  return buffers_.output;
}

void TrainingPass::backward(const ParameterGradients& gradients) {
  const c10::NoGradGuard no_grad;
  const int64_t layers = decoder_.config().layers;
  const ParameterTable& table = decoder_.table();
  {
    const OperationTimer timer("norm backward");
    fused::layer_norm_backward({.input = buffers_.residual[layers],
                                .statistics = buffers_.final_statistics,
                                .normed_gradient = buffers_.output_gradient,
                                .gradient = buffers_.gradient,
                                .first = true,
                                .rounded = buffers_.rounded,
                                .rounded_sums = bias_in_passing(gradients, table.layers[layers - 1].down_bias),
                                .weight_gradient = gradients.at(table.norm_weight),
                                .bias_gradient = gradients.at(table.norm_bias),
                                .add = gradients.add,
                                .scratch = buffers_.norm_sums},
                               decoder_.final_norm());
  }
  place_panels(/*backward=*/true);
  for (int64_t l = layers - 1; l >= 0; --l) {
    if (shape_.recompute) rerun_layer(l);
    backward_mlp(l, gradients);
    backward_attention(l, gradients);
    backward_projection(l, gradients);
  }
  backward_embedding(gradients);
}

void TrainingPass::backward_embedding(const ParameterGradients& gradients) {
  const OperationTimer timer("embedding backward");
  const ParameterTable& table = decoder_.table();
  const at::Tensor& tokens = gradients.tensors[table.token_embedding];
  const at::Tensor positions = gradients.at(table.position_embedding);
  if (!gradients.add) {
    if (table.head != table.token_embedding) fused::set_to_zero(tokens);
    if (positions.defined()) fused::set_to_zero(positions);
  }
  if (options_.dropout > 0)
    fused::drop_in_place(buffers_.gradient, options_.dropout, derive_seed(options_.dropout_seed, "embedding"));
  fused::add_embedding_gradient(tokens, tokens_, buffers_.gradient);
  if (positions.defined()) fused::add_embedding_gradient(positions, positions_, buffers_.gradient);
}

}  // namespace skipattn::model
