#include "skipattn/model/parameters.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "skipattn/core/random.h"

namespace skipattn::model {

namespace {

int64_t product(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

/// Adds specs to a table under names with a common prefix.
class TableBuilder {
 public:
  explicit TableBuilder(const ModelConfig& config) : config_(config) {}

  int matrix(const std::string& name, int64_t out, int64_t in, double deviation, bool transposed) {
    ParameterSpec spec = named(name, {out, in});
    spec.transposed_in_file = transposed;
    spec.decays = true;
    spec.deviation = deviation;
    return add(std::move(spec));
  }

  int bias(const std::string& name, int64_t size) {
    if (!config_.bias) return -1;
    ParameterSpec spec = named(name, {size});
    spec.init = Init::kZeros;
    return add(std::move(spec));
  }

  std::pair<int, int> norm(const std::string& name) {
    ParameterSpec scale = named(name + ".weight", {config_.width});
    scale.init = Init::kOnes;
    scale.is_norm = true;
    const int weight = add(std::move(scale));
    const int shift = bias(name + ".bias", config_.width);
    if (shift >= 0) table_.specs[shift].is_norm = true;
    return {weight, shift};
  }

  void keep_rows(int index, const std::vector<std::pair<int64_t, int64_t>>& rows) {
    if (index >= 0) table_.specs[index].live_rows = rows;
  }

  ParameterTable& table() { return table_; }

 private:
  static ParameterSpec named(const std::string& name, std::vector<int64_t> shape) {
    ParameterSpec spec;
    spec.name = name;
    spec.live_rows = {{0, shape[0]}};
    spec.baseline_shape = std::move(shape);
    return spec;
  }

  int add(ParameterSpec spec) {
    table_.specs.push_back(std::move(spec));
    return static_cast<int>(table_.specs.size()) - 1;
  }

  const ModelConfig& config_;
  ParameterTable table_;
};

void append_heads(std::vector<std::pair<int64_t, int64_t>>& rows, const std::vector<int>& heads, int64_t offset,
                  int64_t d) {
  for (const int head : heads) {
    const int64_t begin = offset + head * d;
    if (!rows.empty() && rows.back().second == begin) {
      rows.back().second = begin + d;
    } else {
      rows.emplace_back(begin, begin + d);
    }
  }
}

/// Rows of the fused [Q; K; V] matrix that exist: all of Q, then live K heads, then live V heads.
std::vector<std::pair<int64_t, int64_t>> live_qkv_rows(const ModelConfig& config, const routing::LayerPlan& layer) {
  const int64_t d = config.head_width;
  std::vector<std::pair<int64_t, int64_t>> rows = {{0, config.heads * d}};
  append_heads(rows, layer.live_keys, config.heads * d, d);
  append_heads(rows, layer.live_values, (config.heads + config.kv_heads) * d, d);
  return rows;
}

LayerIndex add_layer(TableBuilder& builder, const ModelConfig& config, const routing::LayerPlan& plan, int64_t l) {
  const std::string prefix = fmt::format("transformer.h.{}.", l);
  const double plain = config.initializer_range;
  const double residual = plain / std::sqrt(2.0 * static_cast<double>(config.layers));
  const int64_t attention_width = config.heads * config.head_width;
  const int64_t qkv_rows = (config.heads + 2 * config.kv_heads) * config.head_width;
  LayerIndex index;
  std::tie(index.norm1_weight, index.norm1_bias) = builder.norm(prefix + "ln_1");
  index.qkv_weight = builder.matrix(prefix + "attn.c_attn.weight", qkv_rows, config.width, plain, true);
  index.qkv_bias = builder.bias(prefix + "attn.c_attn.bias", qkv_rows);
  const auto live = live_qkv_rows(config, plan);
  builder.keep_rows(index.qkv_weight, live);
  builder.keep_rows(index.qkv_bias, live);
  index.output_weight = builder.matrix(prefix + "attn.c_proj.weight", config.width, attention_width, residual, true);
  index.output_bias = builder.bias(prefix + "attn.c_proj.bias", config.width);
  std::tie(index.norm2_weight, index.norm2_bias) = builder.norm(prefix + "ln_2");
  index.up_weight = builder.matrix(prefix + "mlp.c_fc.weight", config.mlp_width, config.width, plain, true);
  index.up_bias = builder.bias(prefix + "mlp.c_fc.bias", config.mlp_width);
  index.down_weight = builder.matrix(prefix + "mlp.c_proj.weight", config.width, config.mlp_width, residual, true);
  index.down_bias = builder.bias(prefix + "mlp.c_proj.bias", config.width);
  return index;
}

}  // namespace

int64_t ParameterSpec::live_row_count() const {
  int64_t count = 0;
  for (const auto& [begin, end] : live_rows) count += end - begin;
  return count;
}

std::vector<int64_t> ParameterSpec::shape() const {
  std::vector<int64_t> result = baseline_shape;
  result[0] = live_row_count();
  return result;
}

std::vector<int64_t> ParameterSpec::file_shape() const {
  std::vector<int64_t> result = shape();
  if (transposed_in_file) std::swap(result[0], result[1]);
  return result;
}

int64_t ParameterSpec::elements() const {
  return product(shape());
}

bool ParameterSpec::is_complete() const {
  return live_row_count() == baseline_shape[0];
}

int64_t ParameterTable::elements() const {
  int64_t total = 0;
  for (const ParameterSpec& spec : specs) total += spec.elements();
  return total;
}

ParameterTable make_parameter_table(const ModelConfig& config, const routing::Plan& plan) {
  TableBuilder builder(config);
  ParameterTable& table = builder.table();
  const double plain = config.initializer_range;
  table.token_embedding = builder.matrix("transformer.wte.weight", config.vocabulary, config.width, plain, false);
  table.position_embedding = builder.matrix("transformer.wpe.weight", config.positions, config.width, plain, false);
  for (int64_t l = 0; l < config.layers; ++l) table.layers.push_back(add_layer(builder, config, plan.layers[l], l));
  std::tie(table.norm_weight, table.norm_bias) = builder.norm("transformer.ln_f");
  table.head = config.tied_head ? table.token_embedding
                                : builder.matrix("lm_head.weight", config.vocabulary, config.width, plain, false);
  return std::move(table);
}

at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed) {
  const auto options = at::TensorOptions(at::kFloat);
  if (spec.init == Init::kZeros) return at::zeros(spec.shape(), options);
  if (spec.init == Init::kOnes) return at::ones(spec.shape(), options);
  at::Generator generator = at::detail::createCPUGenerator(derive_seed(seed, spec.name));
  const at::Tensor baseline = at::empty(spec.baseline_shape, options).normal_(0.0, spec.deviation, generator);
  return take_live_rows(baseline, spec).contiguous();
}

at::Tensor take_live_rows(const at::Tensor& baseline, const ParameterSpec& spec) {
  if (spec.is_complete()) return baseline;
  std::vector<at::Tensor> blocks;
  for (const auto& [begin, end] : spec.live_rows) blocks.push_back(baseline.slice(0, begin, end));
  return at::cat(blocks, 0);
}

}  // namespace skipattn::model
