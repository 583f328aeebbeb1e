#include "skipattn/inference/card_decoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstring>

#include "skipattn/core/cuda/tensor.h"
#include "skipattn/model/fused/kernels.h"
#include "skipattn/model/fused_layer.h"
#include "skipattn/model/matmul.h"

namespace skipattn::inference {

namespace {

namespace fused = model::fused;
using skipattn::cuda::is_bf16;
using skipattn::cuda::pointer;

/// The first rows * columns elements of flat scratch as a matrix.
at::Tensor matrix(const at::Tensor& flat, int64_t rows, int64_t columns) {
  return flat.narrow(0, 0, rows * columns).view({rows, columns});
}

/// [B, heads, capacity, d] from head `head` on.
const void* head_of(const at::Tensor& cache, int64_t head) {
  return static_cast<const char*>(cache.const_data_ptr()) + head * cache.stride(1) * cache.element_size();
}

int64_t mlp_columns(const model::LayerWeights& weights) {
  return weights.up_weight.size(0);
}

}  // namespace

bool CardDecoder::serves(const model::Decoder& decoder) {
  const at::Device device = decoder.head_weight().device();
  const at::ScalarType type = decoder.dtype();
  const at::Tensor& norm = decoder.parameters()[decoder.table().norm_weight];
  return fused::has_kernels(device) && find_card_kernels(device) != nullptr &&
         (type == at::kBFloat16 || type == at::kFloat) && norm.scalar_type() == at::kFloat &&
         decoder.config().head_width <= kMostCardWidth;
}

CardDecoder::CardDecoder(const model::Decoder& decoder, KvCache& cache, const PaddedBatch& batch)
    : decoder_(decoder),
      cache_(cache),
      batch_(batch),
      kernels_(*find_card_kernels(decoder.head_weight().device())),
      graph_(model::make_graph_recorder(decoder.head_weight().device())) {
  make_buffers();
}

void CardDecoder::make_buffers() {
  const model::ModelConfig& config = decoder_.config();
  const auto options = at::TensorOptions(decoder_.dtype()).device(decoder_.head_weight().device());
  const int64_t rows = batch_.rows();
  int64_t projected = 0, up = 0;
  for (int64_t l = 0; l < config.layers; ++l) {
    projected = std::max(projected, decoder_.layer_weights(l).qkv_weight.size(0));
    up = std::max(up, mlp_columns(decoder_.layer_weights(l)));
  }
  inputs_ = at::zeros({2 * rows + 1}, options.dtype(at::kLong));
  tokens_ = inputs_.narrow(0, 0, rows);
  positions_ = inputs_.narrow(0, rows, rows);
  slot_ = inputs_.narrow(0, 2 * rows, 1);
  std::vector<int64_t> padding;
  for (int64_t row = 0; row < rows; ++row) padding.push_back(batch_.padding(row));
  padding_ = at::tensor(padding, at::kLong).to(options.device());
  if (config.is_llama())
    rotary_table_ = fused::rotary_table(config.positions, model::rotary_frequencies(config.rotary, config.head_width))
                        .to(options.device());
  residual_ = at::empty({rows, config.width}, options.dtype(at::kFloat));
  statistics_ = at::empty({rows, 2}, options.dtype(at::kFloat));
  normed_ = at::empty({rows, config.width}, options);
  branch_ = at::empty({rows, config.width}, options);
  attended_ = at::empty({rows, config.heads * config.head_width}, options);
  qkv_ = at::empty({rows * projected}, options);
  if (config.query_key_norm) unnormed_ = at::empty({rows * projected}, options);
  hidden_ = at::empty({rows * up}, options);
  activated_ = at::empty({rows * config.mlp_width}, options);
  logits_ = at::empty({rows, decoder_.head_weight().size(0)}, options);
}

CardDecoder::LayerPairs CardDecoder::make_pairs(const model::LayerLayout& layout) const {
  std::vector<CardPair> pairs;
  std::vector<int32_t> begin = {0};
  LayerPairs result;
  const int64_t group = layout.heads / static_cast<int64_t>(layout.pairs.size());
  for (int64_t head = 0; head < layout.heads; ++head) {
    const auto& list = layout.pairs[head / group];
    for (const attention::Pair& pair : list) {
      const at::Tensor& keys = cache_.keys(layout.sources[pair.key_tensor].layer);
      const at::Tensor& values = cache_.values(layout.sources[pair.value_tensor].layer);
      pairs.push_back(
          {head_of(keys, pair.key_head), head_of(values, pair.value_head), keys.stride(0), values.stride(0)});
    }
    begin.push_back(static_cast<int32_t>(pairs.size()));
    result.most = std::max(result.most, static_cast<int64_t>(list.size()));
  }
  const at::Tensor bytes = at::empty({static_cast<int64_t>(pairs.size() * sizeof(CardPair))}, at::kByte);
  std::memcpy(bytes.data_ptr(), pairs.data(), pairs.size() * sizeof(CardPair));
  result.pairs = bytes.to(residual_.device());
  result.pair_begin = at::tensor(begin, at::kInt).to(residual_.device());
  return result;
}

/// The cache has grown, so it lies elsewhere.
void CardDecoder::follow_cache() {
  if (cache_.capacity() == capacity_) return;
  graph_.forget();
  capacity_ = cache_.capacity();
  pairs_.clear();
  int64_t most = 1;
  for (const model::LayerLayout& layout : decoder_.layouts()) {
    pairs_.push_back(make_pairs(layout));
    most = std::max(most, pairs_.back().most);
  }
  CardAttend sizes;
  sizes.rows = batch_.rows();
  sizes.heads = decoder_.config().heads;
  sizes.head_width = decoder_.config().head_width;
  sizes.capacity = capacity_;
  sizes.most_pairs = most;
  partial_ = at::empty({card_partials(sizes)}, residual_.options());
}

void CardDecoder::fill_inputs(const TokenIds& next) {
  std::vector<int64_t> inputs(next.begin(), next.end());
  for (int64_t row = 0; row < batch_.rows(); ++row) inputs.push_back(cache_.length() - batch_.padding(row));
  inputs.push_back(cache_.length());
  inputs_.copy_(at::tensor(inputs, at::kLong));
}

const at::Tensor& CardDecoder::decode(const TokenIds& next) {
  const c10::InferenceMode guard;
  cache_.make_room(1);
  follow_cache();
  fill_inputs(next);
  graph_.run([this] { run(); });
  cache_.advance(1);
  return logits_;
}

/// residual += branch, then its norm.
void CardDecoder::norm_sum(const at::Tensor& branch, const fused::NormParameters& norm, const at::Tensor& normed) {
  fused::NormForward call;
  call.residual = residual_;
  if (branch.defined()) {
    call.branch = branch;
    call.sum = residual_;
  }
  call.normed = normed;
  call.statistics = statistics_;
  fused::layer_norm_forward(call, norm);
}

at::Tensor CardDecoder::projection(const model::LayerLayout& layout) const {
  return matrix(qkv_, batch_.rows(), (layout.heads + layout.live_keys + layout.live_values) * layout.head_width);
}

void CardDecoder::append(const model::LayerLayout& layout) {
  if (layout.live_keys + layout.live_values == 0) return;
  const at::Tensor qkv = projection(layout);
  const at::Tensor &keys = cache_.keys(layout.layer), &values = cache_.values(layout.layer);
  kernels_.append({.projected = qkv.narrow(1, layout.heads * layout.head_width, layout.head_width).const_data_ptr(),
                   .projected_stride = qkv.stride(0),
                   .keys = pointer(keys),
                   .values = pointer(values),
                   .rows = qkv.size(0),
                   .key_heads = layout.live_keys,
                   .value_heads = layout.live_values,
                   .head_width = layout.head_width,
                   .capacity = capacity_,
                   .slot = slot_.const_data_ptr<int64_t>(),
                   .bf16 = is_bf16(qkv),
                   .cache_bf16 = cache_.dtype() == at::kBFloat16},
                  qkv.device());
}

void CardDecoder::attend(const model::LayerLayout& layout) {
  const LayerPairs& pairs = pairs_[layout.layer];
  if (pairs.most == 0) {
    attended_.zero_();
    return;
  }
  const at::Tensor qkv = projection(layout);
  kernels_.attend({.query = qkv.const_data_ptr(),
                   .query_stride = qkv.stride(0),
                   .pairs = static_cast<const CardPair*>(pairs.pairs.const_data_ptr()),
                   .pair_begin = pairs.pair_begin.const_data_ptr<int32_t>(),
                   .most_pairs = pairs.most,
                   .slot = slot_.const_data_ptr<int64_t>(),
                   .first = padding_.const_data_ptr<int64_t>(),
                   .window = layout.window,
                   .partial = partial_.data_ptr<float>(),
                   .attended = attended_.data_ptr(),
                   .rows = qkv.size(0),
                   .heads = layout.heads,
                   .head_width = layout.head_width,
                   .capacity = capacity_,
                   .scale = static_cast<float>(layout.softmax_scale),
                   .bf16 = is_bf16(qkv),
                   .cache_bf16 = cache_.dtype() == at::kBFloat16},
                  qkv.device());
}

void CardDecoder::run_layer(int64_t layer) {
  const model::LayerLayout& layout = decoder_.layouts()[layer];
  const model::LayerWeights weights = decoder_.layer_weights(layer);
  norm_sum(layer > 0 ? branch_ : at::Tensor(), norm_parameters(layout, weights.norm1_weight, weights.norm1_bias),
           normed_);
  const at::Tensor qkv = projection(layout);
  model::linear_forward(qkv, normed_, weights.qkv_weight, weights.qkv_bias);
  place_heads_fused(layout, weights,
                    {.qkv = qkv,
                     .unnormed = unnormed_.defined() ? matrix(unnormed_, qkv.size(0), qkv.size(1)) : at::Tensor(),
                     .positions = positions_,
                     .rotary_table = rotary_table_});
  append(layout);
  attend(layout);
  model::linear_forward(branch_, attended_, weights.output_weight, weights.output_bias);
  norm_sum(branch_, norm_parameters(layout, weights.norm2_weight, weights.norm2_bias), normed_);
  const int64_t rows = batch_.rows();
  const at::Tensor hidden = matrix(hidden_, rows, mlp_columns(weights));
  const at::Tensor activated = matrix(activated_, rows, decoder_.config().mlp_width);
  model::linear_forward(hidden, normed_, weights.up_weight, weights.up_bias);
  activate_fused(hidden, activated, layout.activation);
  model::linear_forward(branch_, activated, weights.down_weight, weights.down_bias);
}

void CardDecoder::run() {
  const auto& parameters = decoder_.parameters();
  const model::ParameterTable& table = decoder_.table();
  fused::embed(parameters[table.token_embedding], tokens_,
               table.position_embedding < 0 ? at::Tensor() : parameters[table.position_embedding], positions_,
               residual_);
  for (int64_t l = 0; l < decoder_.config().layers; ++l) run_layer(l);
  norm_sum(branch_, decoder_.final_norm(), normed_);
  model::linear_forward(logits_, normed_, decoder_.head_weight(), {});
}

}  // namespace skipattn::inference
