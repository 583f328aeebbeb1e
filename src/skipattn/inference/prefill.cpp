#include "skipattn/inference/prefill.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/attend.h"
#include "skipattn/model/cpu/rows.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/fused_layer.h"
#include "skipattn/model/matmul.h"

namespace skipattn::inference {

namespace {

/// `count` heads of rows [T, …] from head `begin` on, as a view [1, count, T, d].
at::Tensor head_view(const at::Tensor& rows, int64_t begin, int64_t count, int64_t d) {
  return rows.narrow(1, begin * d, count * d).view({1, rows.size(0), count, d}).transpose(1, 2);
}

/// y [N, O] = y * scales [O] + bias [O] (null: none), in place.
void scale_columns(const at::Tensor& y, const float* scales, const float* bias) {
  const int64_t columns = y.size(1);
  auto* data = model::cpu::data<Bf16>(y);
  at::parallel_for(0, y.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = 0; i < columns; i += simd::kLanes) {
        const int lanes = simd::lanes_from(columns - i);
        Bf16* at = data + row * columns + i;
        simd::Floats value = simd::load(at, lanes) * simd::load(scales + i, lanes);
        if (bias != nullptr) value += simd::load(bias + i, lanes);
        simd::store(at, value, lanes);
      }
  });
}

}  // namespace

/// The tokens at hand, on their way through the layers.
struct Prefill::Pass {
  CachedSequence& sequence;
  std::span<const uint32_t> tokens;
  int64_t past;               ///< tokens before them
  at::Tensor positions = {};  ///< int64 [T]
  at::Tensor residual = {};   ///< fp32 [T, D]
  at::Tensor branch = {};     ///< [T, D], to be added to the residual; undefined: nothing
  at::Tensor normed = {};     ///< [T, D]
  at::Tensor statistics = {};
  std::vector<Lent> lent = {};  ///< [L]

  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
};

Prefill::Prefill(const EngineWeights& weights, const CacheLayout& layout) : weights_(weights), layout_(layout) {
  for (size_t l = 0; l < weights.plan().layers.size(); ++l) {
    const routing::LayerPlan& layer = weights.plan().layers[l];
    if (!layer.live_keys.empty() || !layer.live_values.empty()) handover_layer_ = static_cast<int64_t>(l);
  }
}

Prefill::Pass Prefill::begin(CachedSequence& sequence, std::span<const uint32_t> tokens) {
  const auto length = static_cast<int64_t>(tokens.size()), width = weights_.config().width;
  Pass pass{sequence, tokens, sequence.length()};
  sequence.reserve(pass.past + length);
  pass.positions = at::arange(pass.past, pass.past + length, at::kLong);
  pass.residual = kept_.get(kResidual, {length, width}, at::kFloat);
  pass.normed = kept_.get(kNormed, {length, width}, weights_.compute_dtype());
  pass.statistics = kept_.get(kStatistics, {length, 2}, at::kFloat);
  pass.lent.resize(weights_.layers.size());
  embed(pass);
  return pass;
}

at::Tensor Prefill::run(CachedSequence& sequence, std::span<const uint32_t> tokens) {
  const c10::InferenceMode guard;
  Pass pass = begin(sequence, tokens);
  for (int64_t l = 0; l < handover_layer_; ++l) layer(pass, l);
  const EngineLayer& last = weights_.layers[static_cast<size_t>(handover_layer_)];
  norm(pass, last.norm1);
  const int64_t queries = weights_.config().heads, first_row = queries * weights_.config().head_width;
  if (first_row < last.qkv.matrix.rows)
    keys_and_values(pass, handover_layer_, product(last.qkv, pass.normed, first_row, kQkv), queries);
  return pass.residual.narrow(0, pass.length() - 1, 1);
}

at::Tensor Prefill::run_through(CachedSequence& sequence, std::span<const uint32_t> tokens) {
  const c10::InferenceMode guard;
  Pass pass = begin(sequence, tokens);
  for (int64_t l = 0; l < weights_.config().layers; ++l) layer(pass, l);
  norm(pass, weights_.final_norm);
  return pass.normed;
}

at::Tensor Prefill::vocabulary_logits(const at::Tensor& hidden) {
  return product(weights_.head, hidden, 0, kLogits).to(at::kFloat);
}

void Prefill::embed(Pass& pass) const {
  const OperationTimer timer("embedding");
  const int64_t width = weights_.config().width;
  const cpu::MatrixView& table = weights_.token_embedding.matrix;
  const float* positions =
      weights_.position_embedding.defined() ? weights_.position_embedding.const_data_ptr<float>() : nullptr;
  auto* residual = pass.residual.data_ptr<float>();
  at::parallel_for(0, pass.length(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint32_t token = pass.tokens[static_cast<size_t>(row)];
      float* x = residual + row * width;
      cpu::load_row(table.dtype, table.row(token), table.scales != nullptr ? table.scales[token] : 1.0f, width, x);
      if (positions != nullptr) cpu::add_to_row(x, positions + (pass.past + row) * width, width);
    }
  });
}

void Prefill::norm(Pass& pass, const Norm& norm) {
  const OperationTimer timer("norm");
  model::fused::NormForward call;
  call.residual = pass.residual;
  call.branch = pass.branch;
  if (pass.branch.defined()) call.sum = pass.residual;
  call.normed = pass.normed;
  call.statistics = pass.statistics;
  model::fused::layer_norm_forward(call, {norm.weight, norm.bias, norm.epsilon, norm.centred});
  pass.branch = at::Tensor();
}

/// x times the rows of the matrix from `first_row` on, with their biases.
at::Tensor Prefill::product(const Linear& linear, const at::Tensor& x, int64_t first_row, Use use) {
  const OperationTimer timer("gemm");
  const int64_t rows = linear.matrix.rows - first_row;
  at::Tensor weight = linear.weight.narrow(0, first_row, rows);
  const at::Tensor bias = linear.bias.defined() ? linear.bias.narrow(0, first_row, rows) : at::Tensor();
  const at::Tensor y = kept_.get(use, {x.size(0), rows}, x.scalar_type());
  if (linear.matrix.dtype != Dtype::kInt8) {
    model::linear_forward(y, x, weight, bias);
    return y;
  }
  // Whole numbers up to 127 are exact in bf16; the scales are the columns' of the result.
  if (!unpacked_.defined() || unpacked_.numel() < weight.numel()) unpacked_ = at::empty({weight.numel()}, x.options());
  at::Tensor numbers = unpacked_.narrow(0, 0, weight.numel()).view(weight.sizes());
  numbers.copy_(weight);
  model::linear_forward(y, x, numbers, {});
  scale_columns(y, linear.matrix.scales + first_row,
                linear.bias_data() != nullptr ? linear.bias_data() + first_row : nullptr);
  return y;
}

/// Norms, rotates and stores the keys, and stores the values, of projected rows whose first head is the layer's head
/// `first_head`.
void Prefill::keys_and_values(Pass& pass, int64_t layer, const at::Tensor& projected, int64_t first_head) const {
  const OperationTimer timer("KV cache");
  const model::LayerLayout& layout = weights_.layouts()[static_cast<size_t>(layer)];
  const EngineLayer& weights = weights_.layers[static_cast<size_t>(layer)];
  const int64_t d = layout.head_width, first_key = layout.heads - first_head, row_numbers = projected.size(1);
  const Dtype dtype = projected.scalar_type() == at::kFloat ? Dtype::kFp32 : Dtype::kBf16;
  const float* angles = weights_.rotary_angles.defined() ? weights_.rotary_angles.const_data_ptr<float>() : nullptr;
  auto* data = static_cast<char*>(projected.data_ptr());
  at::parallel_for(0, pass.length(), 16, [&](int64_t begin, int64_t end) {
    std::vector<float> numbers(static_cast<size_t>(d));
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < row_numbers / d; ++head) {
        const int64_t key = head - first_key, value = key - layout.live_keys;
        char* at = data + (row * row_numbers + head * d) * bytes_of(dtype);
        const Norm& head_norm = key < 0 ? weights.query_norm : weights.key_norm;
        const bool turns = value < 0 && (head_norm.defined() || angles != nullptr);
        if (key < 0 && !turns) continue;  // queries stay as they are
        cpu::load_row(dtype, at, 1.0f, d, numbers.data());
        if (turns && head_norm.defined()) cpu::norm_row(head_norm.row(), numbers.data(), d, numbers.data());
        if (turns && angles != nullptr) cpu::rotate_row(numbers.data(), angles + (pass.past + row) * d, d / 2);
        if (turns) cpu::store_row(dtype, numbers.data(), d, at);
        if (key < 0) continue;
        const int64_t slot = value >= 0 ? layout_.value_slot(layer, value) : layout_.key_slot(layer, key);
        pass.sequence.store(slot, pass.past + row, numbers.data());
      }
    }
  });
}

/// All of a layer's keys or values so far, as the cache holds them: [1, heads, S, d].
at::Tensor Prefill::gather(const Pass& pass, int64_t layer, bool is_value) const {
  const OperationTimer timer("KV cache");
  const model::LayerLayout& layout = weights_.layouts()[static_cast<size_t>(layer)];
  const int64_t heads = is_value ? layout.live_values : layout.live_keys, d = layout.head_width;
  const int64_t length = pass.past + pass.length(), blocks = (length + kBlockRows - 1) / kBlockRows;
  const at::Tensor rows = at::empty({1, heads, length, d}, pass.normed.options());
  const Dtype to = rows.scalar_type() == at::kFloat ? Dtype::kFp32 : Dtype::kBf16, from = layout_.dtype();
  auto* data = static_cast<char*>(rows.data_ptr());
  at::parallel_for(0, heads * blocks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> numbers(static_cast<size_t>(d));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / blocks, block = task % blocks;
      const int64_t slot = is_value ? layout_.value_slot(layer, head) : layout_.key_slot(layer, head);
      const int64_t count = std::min(kBlockRows, length - block * kBlockRows);
      const char* stored = pass.sequence.slot_rows(slot, block);
      char* at = data + (head * length + block * kBlockRows) * d * bytes_of(to);
      if (from == to) {
        std::memcpy(at, stored, static_cast<size_t>(count * d * bytes_of(to)));
        continue;
      }
      const float* scales = pass.sequence.slot_scales(slot, block);
      for (int64_t row = 0; row < count; ++row) {
        cpu::load_row(from, stored + row * d * bytes_of(from), scales != nullptr ? scales[row] : 1.0f, d,
                      numbers.data());
        cpu::store_row(to, numbers.data(), d, at + row * d * bytes_of(to));
      }
    }
  });
  return rows;
}

/// What layer `layer` offers its readers, itself among them. Fresh keys and values that the cache holds unrounded and that
/// nobody above reads are read where they were projected.
void Prefill::lend(Pass& pass, int64_t layer, const at::Tensor& qkv) {
  const model::LayerLayout& layout = weights_.layouts()[static_cast<size_t>(layer)];
  const routing::LayerPlan& plan = weights_.plan().layers[static_cast<size_t>(layer)];
  const Dtype computed = qkv.scalar_type() == at::kFloat ? Dtype::kFp32 : Dtype::kBf16;
  const bool in_place = pass.past == 0 && layout_.dtype() == computed;
  Lent& lent = pass.lent[static_cast<size_t>(layer)];
  const auto offer = [&](bool is_value, int64_t begin, int64_t count, int last_reader) {
    if (count == 0 || last_reader < layer) return at::Tensor();
    if (in_place && last_reader == layer) return head_view(qkv, begin, count, layout.head_width);
    return gather(pass, layer, is_value);
  };
  lent.keys = offer(false, layout.heads, layout.live_keys, plan.last_key_reader);
  lent.values = offer(true, layout.heads + layout.live_keys, layout.live_values, plan.last_value_reader);
}

at::Tensor Prefill::attended(Pass& pass, int64_t layer, const at::Tensor& qkv) {
  const OperationTimer timer("attention");
  const model::LayerLayout& layout = weights_.layouts()[static_cast<size_t>(layer)];
  model::AttentionInput input;
  input.query = head_view(qkv, 0, layout.heads, layout.head_width);
  for (const model::LayerLayout::SourceTensor& source : layout.sources) {
    const Lent& lent = pass.lent[static_cast<size_t>(source.layer)];
    input.sources.push_back(source.is_value ? lent.values : lent.keys);
  }
  input.pairs = &layout.pairs;
  input.options.scale = layout.softmax_scale;
  if (layout.window > 0) {
    const at::Tensor first = (pass.positions - (layout.window - 1)).clamp_min_(0);
    input.options.first_key = first.to(at::kInt).unsqueeze(0);
  }
  model::AttentionOutput output;
  output.attended = kept_.get(kAttended, {1, pass.length(), layout.heads, layout.head_width}, qkv.scalar_type());
  output.logsumexp = kept_.get(kLogSumExp, {1, layout.heads, pass.length()}, at::kFloat);
  model::attend(input, output);
  return output.attended.view({pass.length(), layout.heads * layout.head_width});
}

at::Tensor Prefill::activated(const at::Tensor& hidden) {
  const bool halves = weights_.activation == model::Activation::kSwiGlu;
  const at::Tensor output =
      halves ? kept_.get(kActivated, {hidden.size(0), hidden.size(1) / 2}, hidden.scalar_type()) : hidden;
  activate_fused(hidden, output, weights_.activation);
  return output;
}

void Prefill::layer(Pass& pass, int64_t layer) {
  const EngineLayer& weights = weights_.layers[static_cast<size_t>(layer)];
  norm(pass, weights.norm1);
  const at::Tensor qkv = product(weights.qkv, pass.normed, 0, kQkv);
  keys_and_values(pass, layer, qkv, 0);
  lend(pass, layer, qkv);
  pass.branch = product(weights.output, attended(pass, layer, qkv), 0, kBranch);
  for (int64_t m = 0; m <= layer; ++m) {  // what nobody reads any more
    Lent& lent = pass.lent[static_cast<size_t>(m)];
    if (weights_.plan().layers[static_cast<size_t>(m)].last_key_reader <= layer) lent.keys = at::Tensor();
    if (weights_.plan().layers[static_cast<size_t>(m)].last_value_reader <= layer) lent.values = at::Tensor();
  }
  norm(pass, weights.norm2);
  pass.branch = product(weights.down, activated(product(weights.up, pass.normed, 0, kHidden)), 0, kBranch);
}

}  // namespace skipattn::inference
