#include "skipattn/inference/engine_weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "skipattn/core/errors.h"
#include "skipattn/model/fused/rotary.h"
#include "skipattn/model/rotary_config.h"

namespace skipattn::inference {

namespace {

at::ScalarType scalar_type(Dtype dtype) {
  return dtype == Dtype::kFp32 ? at::kFloat : dtype == Dtype::kBf16 ? at::kBFloat16 : at::kChar;
}

at::Tensor fp32(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kFloat).contiguous() : tensor;
}

/// weight [rows, columns] to int8, a scale for each row.
void quantize(const at::Tensor& weight, int8_t* to, float* scales) {
  const at::Tensor numbers = fp32(weight);
  const int64_t columns = weight.size(1);
  const auto* from = numbers.const_data_ptr<float>();
  at::parallel_for(0, weight.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      scales[row] = cpu::store_row(Dtype::kInt8, from + row * columns, columns, to + row * columns);
  });
}

}  // namespace

cpu::NormRow Norm::row() const {
  return {weight.const_data_ptr<float>(), bias.defined() ? bias.const_data_ptr<float>() : nullptr,
          static_cast<float>(epsilon), centred};
}

EngineWeights::EngineWeights(const model::Decoder& decoder, Dtype dtype)
    : config_(decoder.config()), plan_(decoder.plan()), layouts_(decoder.layouts()), dtype_(dtype) {
  if (!decoder.head_weight().is_cpu())
    throw InputError("generation engine: the model is on {}; it must be on the CPU",
                     decoder.head_weight().device().str());
  const auto& parameters = decoder.parameters();
  const model::ParameterTable& table = decoder.table();
  const auto parameter = [&](int index) { return index < 0 ? at::Tensor() : parameters[index]; };
  activation = layouts_.front().activation;
  for (int64_t l = 0; l < config_.layers; ++l) {
    const model::LayerWeights from = decoder.layer_weights(l);
    EngineLayer layer;
    layer.norm1 = norm(from.norm1_weight, from.norm1_bias);
    layer.norm2 = norm(from.norm2_weight, from.norm2_bias);
    layer.query_norm = norm(from.query_norm, {});
    layer.key_norm = norm(from.key_norm, {});
    layer.qkv = linear(from.qkv_weight, from.qkv_bias);
    layer.output = linear(from.output_weight, from.output_bias);
    layer.up = linear(from.up_weight, from.up_bias);
    layer.down = linear(from.down_weight, from.down_bias);
    layers.push_back(std::move(layer));
  }
  final_norm = norm(parameter(table.norm_weight), parameter(table.norm_bias));
  token_embedding = linear(parameter(table.token_embedding), {});
  head = table.head == table.token_embedding ? token_embedding : linear(parameter(table.head), {});
  if (config_.is_llama()) {
    rotary_angles =
        model::fused::rotary_table(config_.positions, model::rotary_frequencies(config_.rotary, config_.head_width));
  } else {
    position_embedding = fp32(parameter(table.position_embedding).to(compute_dtype()));
  }
}

Linear EngineWeights::linear(const at::Tensor& weight, const at::Tensor& bias) {
  const int64_t rows = weight.size(0), columns = weight.size(1);
  const int64_t numbers = rows * columns * bytes_of(dtype_);
  const int64_t scales = dtype_ == Dtype::kInt8 ? rows * 4 : 0;
  const int64_t scales_begin = (numbers + cpu::kSlack + 63) / 64 * 64;
  memory_.emplace_back(scales_begin + scales);
  char* data = memory_.back().data();
  matrix_bytes_ += numbers + scales;

  Linear result;
  result.matrix = {dtype_, data, nullptr, rows, columns};
  result.weight = at::from_blob(data, {rows, columns}, scalar_type(dtype_));
  if (dtype_ == Dtype::kInt8) {
    auto* row_scales = reinterpret_cast<float*>(data + scales_begin);
    quantize(weight, reinterpret_cast<int8_t*>(data), row_scales);
    result.matrix.scales = row_scales;
  } else {
    result.weight.copy_(weight);
  }
  if (bias.defined()) {
    result.bias = bias.to(compute_dtype()).contiguous();
    result.bias_fp32 = fp32(result.bias);
  }
  return result;
}

Norm EngineWeights::norm(const at::Tensor& weight, const at::Tensor& bias) const {
  return {fp32(weight), fp32(bias), config_.norm_epsilon, /*centred=*/!layouts_.front().rms_norm};
}

}  // namespace skipattn::inference
