#include "skipattn/model/layer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/model/fused/dropout.h"
#include "skipattn/model/norm.h"

namespace skipattn::model {

namespace {

/// Index of a tensor in the layer's source list, appended when new.
int64_t source_index(std::vector<LayerLayout::SourceTensor>& sources, int64_t layer, bool is_value) {
  for (size_t i = 0; i < sources.size(); ++i)
    if (sources[i].layer == layer && sources[i].is_value == is_value) return static_cast<int64_t>(i);
  sources.push_back({layer, is_value});
  return static_cast<int64_t>(sources.size()) - 1;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const OperationTimer timer("gemm forward");
  return at::linear(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
}

/// `count` heads of a fused projection [B, T, rows * …] from row `begin` on, as a view [B, count, T, d].
at::Tensor head_view(const at::Tensor& fused, int64_t begin, int64_t count, int64_t head_width) {
  return fused.narrow(2, begin * head_width, count * head_width)
      .view({fused.size(0), fused.size(1), count, head_width})
      .transpose(1, 2);
}

at::Tensor attend(const LayerLayout& layout, const at::Tensor& query, const KeyValues& own,
                  const std::vector<KeyValues>& lower, const LayerCall& call) {
  std::vector<at::Tensor> sources;
  sources.reserve(layout.sources.size());
  for (const LayerLayout::SourceTensor& source : layout.sources) {
    const KeyValues& lender = source.layer == layout.layer ? own : lower.at(source.layer);
    sources.push_back(source.is_value ? lender.values : lender.keys);
  }
  attention::Options options;
  options.scale = layout.softmax_scale;
  options.first_key = call.first_key;
  options.dropout_p = call.dropout;
  // The operator takes a signed seed.
  options.dropout_seed = static_cast<int64_t>(derive_seed(call.dropout_seed, "attention") >> 1);
  const OperationTimer timer("attention forward");
  return attention::routed_attention(query, sources, layout.pairs, options).output;
}

/// Query or key heads as attention reads them: normed, then turned to their positions, where the model does that.
at::Tensor place_heads(const LayerLayout& layout, const at::Tensor& heads, const at::Tensor& norm_weight,
                       const LayerCall& call) {
  at::Tensor placed = heads;
  if (norm_weight.defined()) placed = normalize(placed, norm_parameters(layout, norm_weight), heads.scalar_type());
  if (call.rotary) placed = apply_rotary(placed, *call.rotary);
  return placed;
}

Activation activation_of(const ModelConfig& config) {
  if (config.is_llama()) return Activation::kSwiGlu;
  return config.activation == "gelu" ? Activation::kGelu : Activation::kGeluTanh;
}

}  // namespace

std::vector<LayerLayout> make_layouts(const ModelConfig& config, const routing::Plan& plan) {
  std::vector<LayerLayout> layouts;
  for (int64_t l = 0; l < config.layers; ++l) {
    const routing::LayerPlan& layer = plan.layers[l];
    LayerLayout layout;
    layout.layer = l;
    layout.heads = config.heads;
    layout.head_width = config.head_width;
    layout.live_keys = static_cast<int64_t>(layer.live_keys.size());
    layout.live_values = static_cast<int64_t>(layer.live_values.size());
    const int64_t own = config.layer_window(l), planned = layer.window;
    layout.window = own > 0 && planned > 0 ? std::min(own, planned) : std::max(own, planned);
    layout.softmax_scale = config.softmax_scale(l);
    layout.norm_epsilon = config.norm_epsilon;
    layout.rms_norm = config.is_llama();
    layout.activation = activation_of(config);
    for (const auto& head : layer.heads) {
      std::vector<attention::Pair> pairs;
      for (const routing::SlotPair& slot : head)
        pairs.push_back({source_index(layout.sources, slot.key_layer, false), slot.key_slot,
                         source_index(layout.sources, slot.value_layer, true), slot.value_slot});
      layout.pairs.push_back(std::move(pairs));
    }
    layouts.push_back(std::move(layout));
  }
  return layouts;
}

std::vector<at::Tensor> LayerWeights::list() const {
  return {norm1_weight, norm1_bias,   qkv_weight, qkv_bias,  query_norm, key_norm,    output_weight,
          output_bias,  norm2_weight, norm2_bias, up_weight, up_bias,    down_weight, down_bias};
}

LayerWeights LayerWeights::from_list(const std::vector<at::Tensor>& tensors) {
  LayerWeights weights;
  size_t next = 0;
  for (at::Tensor* target :
       {&weights.norm1_weight, &weights.norm1_bias, &weights.qkv_weight, &weights.qkv_bias, &weights.query_norm,
        &weights.key_norm, &weights.output_weight, &weights.output_bias, &weights.norm2_weight, &weights.norm2_bias,
        &weights.up_weight, &weights.up_bias, &weights.down_weight, &weights.down_bias})
    *target = tensors.at(next++);
  return weights;
}

fused::NormParameters norm_parameters(const LayerLayout& layout, const at::Tensor& weight, const at::Tensor& bias) {
  return {.weight = weight, .bias = bias, .epsilon = layout.norm_epsilon, .centred = !layout.rms_norm};
}

at::Tensor seeded_dropout(const at::Tensor& x, double p, uint64_t seed) {
  if (p <= 0) return x;
  // Made on the CPU so that a seed means the same mask on every device.
  const at::Tensor keep = at::empty(x.sizes(), at::TensorOptions(at::kFloat));
  fused::dropout_mask(keep, p, seed);
  const at::ScalarType wide = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return (x * keep.to(x.device(), wide) * (1.0 / (1.0 - p))).to(x.scalar_type());
}

LayerResult run_layer(const LayerLayout& layout, const LayerWeights& weights, const at::Tensor& residual,
                      const std::vector<KeyValues>& lower, const LayerCall& call) {
  const at::ScalarType dtype = weights.qkv_weight.scalar_type();
  const int64_t batch = residual.size(0), length = residual.size(1), d = layout.head_width;

  const at::Tensor normed =
      normalize(residual, norm_parameters(layout, weights.norm1_weight, weights.norm1_bias), dtype);
  const at::Tensor fused = linear(normed, weights.qkv_weight, weights.qkv_bias);  // [B, T, (H + K + V) * d]
  const at::Tensor query = place_heads(layout, head_view(fused, 0, layout.heads, d), weights.query_norm, call);
  KeyValues own;
  if (layout.live_keys > 0)
    own.keys = place_heads(layout, head_view(fused, layout.heads, layout.live_keys, d), weights.key_norm, call);
  if (layout.live_values > 0) own.values = head_view(fused, layout.heads + layout.live_keys, layout.live_values, d);
  if (call.key_value_hook) own = call.key_value_hook(layout.layer, own);

  const at::Tensor attended = attend(layout, query, own, lower, call)  // [B, H, T, d]
                                  .transpose(1, 2)
                                  .reshape({batch, length, layout.heads * d});
  const at::Tensor mixed = linear(attended, weights.output_weight, weights.output_bias);
  const at::Tensor middle =
      residual + seeded_dropout(mixed, call.dropout, derive_seed(call.dropout_seed, "attention output"));

  const at::Tensor normed2 =
      normalize(middle, norm_parameters(layout, weights.norm2_weight, weights.norm2_bias), dtype);
  const at::Tensor hidden = activate(linear(normed2, weights.up_weight, weights.up_bias), layout.activation);
  const at::Tensor down = linear(hidden, weights.down_weight, weights.down_bias);
  return {middle + seeded_dropout(down, call.dropout, derive_seed(call.dropout_seed, "mlp output")), own};
}

}  // namespace skipattn::model
