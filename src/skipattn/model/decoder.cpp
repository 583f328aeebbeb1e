#include "skipattn/model/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <map>

#include "skipattn/core/errors.h"
#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/model/norm.h"

namespace skipattn::model {

namespace {

ModelConfig checked(ModelConfig config) {
  config.resolve();
  config.validate("[model] ");
  return config;
}

/// Drops what no layer above `layer` reads any more, so that its memory can be used again.
void release_dead(const routing::Plan& plan, int64_t layer, std::vector<KeyValues>& offered) {
  for (int64_t m = 0; m <= layer; ++m) {
    if (plan.layers[m].last_key_reader <= layer) offered[m].keys = at::Tensor();
    if (plan.layers[m].last_value_reader <= layer) offered[m].values = at::Tensor();
  }
}

}  // namespace

at::Tensor windowed_first_key(const Input& input, int64_t window) {
  const int64_t length = input.tokens.size(1);
  const at::Tensor earliest =
      at::arange(input.past, input.past + length, at::TensorOptions(at::kInt).device(input.tokens.device()))
          .sub_(window - 1)
          .clamp_min_(0)
          .unsqueeze(0)
          .expand({input.tokens.size(0), length});
  return input.first_key ? at::maximum(*input.first_key, earliest) : earliest;
}

at::Tensor positions_of(const Input& input) {
  if (input.positions) return *input.positions;
  return at::arange(input.past, input.past + input.tokens.size(1),
                    at::TensorOptions(at::kLong).device(input.tokens.device()));
}

Decoder::Decoder(ModelConfig config)
    : config_(checked(std::move(config))),
      routing_(routing::parse_routing(config_.routing, config_.routing_shape())),
      plan_(routing::make_plan(routing_)),
      table_(make_parameter_table(config_, plan_)),
      layouts_(make_layouts(config_, plan_)),
      parameters_(table_.specs.size()) {
  config_.routing = routing_.text;
}

void Decoder::initialize(uint64_t seed) {
  for (size_t i = 0; i < parameters_.size(); ++i) parameters_[i] = initial_value(table_.specs[i], seed);
}

void Decoder::set_parameter(int index, at::Tensor value) {
  const ParameterSpec& spec = table_.specs.at(index);
  TORCH_INTERNAL_ASSERT(value.sizes() == at::IntArrayRef(spec.shape()), spec.name, " has shape ", value.sizes());
  parameters_[index] = std::move(value);
}

void Decoder::convert_to(at::ScalarType dtype) {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const bool keep = table_.specs[i].is_norm && dtype != at::kDouble;
    parameters_[i] = parameters_[i].detach().to(keep ? at::kFloat : dtype);
  }
}

void Decoder::move_to(at::Device device) {
  for (at::Tensor& parameter : parameters_) parameter = parameter.to(device);
}

at::ScalarType Decoder::dtype() const {
  return parameters_[table_.token_embedding].scalar_type();
}

const at::Tensor* Decoder::find(int index) const {
  return index < 0 ? nullptr : &parameters_[index];
}

LayerWeights Decoder::layer_weights(int64_t layer) const {
  const LayerIndex& index = table_.layers[layer];
  const auto get = [&](int position) { return position < 0 ? at::Tensor() : parameters_[position]; };
  return {.norm1_weight = get(index.norm1_weight),
          .norm1_bias = get(index.norm1_bias),
          .qkv_weight = get(index.qkv_weight),
          .qkv_bias = get(index.qkv_bias),
          .query_norm = get(index.query_norm),
          .key_norm = get(index.key_norm),
          .output_weight = get(index.output_weight),
          .output_bias = get(index.output_bias),
          .norm2_weight = get(index.norm2_weight),
          .norm2_bias = get(index.norm2_bias),
          .up_weight = get(index.up_weight),
          .up_bias = get(index.up_bias),
          .down_weight = get(index.down_weight),
          .down_bias = get(index.down_bias)};
}

void Decoder::check_input(const Input& input) const {
  const int64_t end = input.past + input.tokens.size(1);
  if (end > config_.positions)
    throw InputError("context {}: the model has positions for {} tokens", end, config_.positions);
}

at::ScalarType Decoder::residual_dtype() const {
  return parameters_[table_.norm_weight].scalar_type();
}

at::Tensor Decoder::embed(const Input& input, const at::Tensor& positions, const ForwardOptions& options) const {
  const OperationTimer timer("embedding forward");
  at::Tensor residual = at::embedding(parameters_[table_.token_embedding], input.tokens).to(residual_dtype());
  if (table_.position_embedding >= 0)
    residual = residual + at::embedding(parameters_[table_.position_embedding], positions).to(residual_dtype());
  return seeded_dropout(residual, options.dropout, derive_seed(options.dropout_seed, "embedding"));
}

fused::NormParameters Decoder::final_norm() const {
  const at::Tensor* bias = find(table_.norm_bias);
  return norm_parameters(layouts_[0], parameters_[table_.norm_weight], bias ? *bias : at::Tensor());
}

at::Tensor Decoder::hidden_states(const Input& input, const ForwardOptions& options) const {
  check_input(input);
  const at::Tensor positions = positions_of(input);
  at::Tensor residual = embed(input, positions, options);
  std::optional<RotaryAngles> rotary;
  if (config_.is_llama()) rotary = rotary_angles(config_.rotary, config_.head_width, positions, residual_dtype());
  std::vector<KeyValues> offered(config_.layers);
  std::map<int64_t, at::Tensor> windowed;  // one mask start per distinct window
  for (int64_t l = 0; l < config_.layers; ++l) {
    const LayerLayout& layout = layouts_[l];
    LayerCall call;
    call.dropout = options.dropout;
    call.dropout_seed = derive_seed(options.dropout_seed, fmt::format("layer {}", l));
    call.key_value_hook = options.key_value_hook;
    call.first_key = input.first_key;
    call.rotary = rotary;
    if (layout.window > 0) {
      if (!windowed.contains(layout.window)) windowed[layout.window] = windowed_first_key(input, layout.window);
      call.first_key = windowed[layout.window];
    }
    const auto run = options.recompute && c10::GradMode::is_enabled() ? run_layer_recomputed : run_layer;
    LayerResult result = run(layout, layer_weights(l), residual, offered, call);
    residual = std::move(result.residual);
    offered[l] = std::move(result.key_values);
    release_dead(plan_, l, offered);
  }
  return normalize(residual, final_norm(), dtype());
}

const at::Tensor& Decoder::head_weight() const {
  return parameters_[table_.head];
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  const OperationTimer timer("vocabulary head");
  return at::linear(hidden, head_weight());
}

}  // namespace skipattn::model
