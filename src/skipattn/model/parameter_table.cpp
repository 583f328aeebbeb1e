// make_parameter_table(): the parameters of GPT-2 and of the Llama family under the names of their Hugging Face files.
#include <fmt/format.h>

#include <cmath>
#include <tuple>

#include "skipattn/model/parameters.h"

namespace skipattn::model {

namespace {

using Rows = std::vector<std::pair<int64_t, int64_t>>;

/// How the files of one family call things.
struct Names {
  std::string token_embedding, position_embedding, layer, norm1, norm2, final_norm;
  std::string output, up, down;  ///< after the layer's prefix
};
const Names kGpt2Names = {"transformer.wte",  "transformer.wpe", "transformer.h.{}.", "ln_1",      "ln_2",
                          "transformer.ln_f", "attn.c_proj",     "mlp.c_fc",          "mlp.c_proj"};
const Names kLlamaNames = {"model.embed_tokens",
                           "",
                           "model.layers.{}.",
                           "input_layernorm",
                           "post_attention_layernorm",
                           "model.norm",
                           "self_attn.o_proj",
                           "mlp.gate_up_proj",
                           "mlp.down_proj"};

/// Adds specs to a table.
class TableBuilder {
 public:
  explicit TableBuilder(const ModelConfig& config) : config_(config) {}

  /// [out, in]
  int matrix(const std::string& name, int64_t out, int64_t in, double deviation) {
    ParameterSpec spec = named(name + ".weight", {out, in});
    spec.decays = true;
    spec.deviation = deviation;
    return add(std::move(spec));
  }

  /// A linear layer's weight and, where `has_bias`, its bias. GPT-2's files hold its matrices transposed.
  std::pair<int, int> linear(const std::string& name, int64_t out, int64_t in, double deviation, bool has_bias) {
    const int weight = matrix(name, out, in, deviation);
    table_.specs[weight].transposed_in_file = !config_.is_llama();
    return {weight, has_bias ? bias(name, out) : -1};
  }

  /// LayerNorm has a bias where GPT-2 has biases, RMSNorm none.
  std::pair<int, int> norm(const std::string& name, int64_t width) {
    ParameterSpec scale = named(name + ".weight", {width});
    scale.init = Init::kOnes;
    scale.is_norm = true;
    const int weight = add(std::move(scale));
    if (config_.is_llama() || !config_.bias) return {weight, -1};
    const int shift = bias(name, width);
    table_.specs[shift].is_norm = true;
    return {weight, shift};
  }

  void keep_rows(int index, const Rows& rows) {
    if (index >= 0) table_.specs[index].live_rows = rows;
  }

  /// Says that files hold a linear layer as several, one below the other: name and number of rows of each.
  void split(std::pair<int, int> linear, const std::string& prefix,
             const std::vector<std::pair<std::string, int64_t>>& parts) {
    for (const auto& [index, kind] : {std::pair(linear.first, ".weight"), std::pair(linear.second, ".bias")}) {
      int64_t begin = 0;
      for (const auto& [name, rows] : parts) {
        if (index >= 0) table_.specs[index].parts.push_back({prefix + name + kind, begin, begin + rows});
        begin += rows;
      }
    }
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

  int bias(const std::string& name, int64_t size) {
    ParameterSpec spec = named(name + ".bias", {size});
    spec.init = Init::kZeros;
    return add(std::move(spec));
  }

  int add(ParameterSpec spec) {
    table_.specs.push_back(std::move(spec));
    return static_cast<int>(table_.specs.size()) - 1;
  }

  const ModelConfig& config_;
  ParameterTable table_;
};

void append_heads(Rows& rows, const std::vector<int>& heads, int64_t offset, int64_t d) {
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
Rows live_qkv_rows(const ModelConfig& config, const routing::LayerPlan& layer) {
  const int64_t d = config.head_width;
  Rows rows = {{0, config.heads * d}};
  append_heads(rows, layer.live_keys, config.heads * d, d);
  append_heads(rows, layer.live_values, (config.heads + config.kv_heads) * d, d);
  return rows;
}

void add_qkv(TableBuilder& builder, const ModelConfig& config, const routing::LayerPlan& plan,
             const std::string& prefix, LayerIndex& index) {
  const int64_t q_rows = config.heads * config.head_width, kv_rows = config.kv_heads * config.head_width;
  const bool llama = config.is_llama();
  std::tie(index.qkv_weight, index.qkv_bias) =
      builder.linear(prefix + (llama ? "self_attn.qkv_proj" : "attn.c_attn"), q_rows + 2 * kv_rows, config.width,
                     config.initializer_range, llama ? config.qkv_bias : config.bias);
  const Rows live = live_qkv_rows(config, plan);
  builder.keep_rows(index.qkv_weight, live);
  builder.keep_rows(index.qkv_bias, live);
  if (llama)
    builder.split({index.qkv_weight, index.qkv_bias}, prefix + "self_attn.",
                  {{"q_proj", q_rows}, {"k_proj", kv_rows}, {"v_proj", kv_rows}});
  if (!config.query_key_norm) return;
  index.query_norm = builder.norm(prefix + "self_attn.q_norm", config.head_width).first;
  index.key_norm = builder.norm(prefix + "self_attn.k_norm", config.head_width).first;
  if (plan.live_keys.empty()) builder.keep_rows(index.key_norm, {});
}

LayerIndex add_layer(TableBuilder& builder, const ModelConfig& config, const Names& names,
                     const routing::LayerPlan& plan, int64_t l) {
  const std::string prefix = fmt::format(fmt::runtime(names.layer), l);
  const bool llama = config.is_llama();
  const double plain = config.initializer_range;
  const double residual = plain / std::sqrt(2.0 * static_cast<double>(config.layers));
  const bool output_bias = llama ? config.output_bias : config.bias, mlp_bias = llama ? config.mlp_bias : config.bias;
  LayerIndex index;
  std::tie(index.norm1_weight, index.norm1_bias) = builder.norm(prefix + names.norm1, config.width);
  add_qkv(builder, config, plan, prefix, index);
  std::tie(index.output_weight, index.output_bias) =
      builder.linear(prefix + names.output, config.width, config.heads * config.head_width, residual, output_bias);
  std::tie(index.norm2_weight, index.norm2_bias) = builder.norm(prefix + names.norm2, config.width);
  const int64_t up_rows = (llama ? 2 : 1) * config.mlp_width;
  std::tie(index.up_weight, index.up_bias) = builder.linear(prefix + names.up, up_rows, config.width, plain, mlp_bias);
  if (llama)
    builder.split({index.up_weight, index.up_bias}, prefix + "mlp.",
                  {{"gate_proj", config.mlp_width}, {"up_proj", config.mlp_width}});
  std::tie(index.down_weight, index.down_bias) =
      builder.linear(prefix + names.down, config.width, config.mlp_width, residual, mlp_bias);
  return index;
}

}  // namespace

ParameterTable make_parameter_table(const ModelConfig& config, const routing::Plan& plan) {
  TableBuilder builder(config);
  ParameterTable& table = builder.table();
  const Names& names = config.is_llama() ? kLlamaNames : kGpt2Names;
  const double plain = config.initializer_range;
  table.token_embedding = builder.matrix(names.token_embedding, config.vocabulary, config.width, plain);
  if (!config.is_llama())
    table.position_embedding = builder.matrix(names.position_embedding, config.positions, config.width, plain);
  for (int64_t l = 0; l < config.layers; ++l)
    table.layers.push_back(add_layer(builder, config, names, plan.layers[l], l));
  std::tie(table.norm_weight, table.norm_bias) = builder.norm(names.final_norm, config.width);
  table.head =
      config.tied_head ? table.token_embedding : builder.matrix("lm_head", config.vocabulary, config.width, plain);
  return std::move(table);
}

}  // namespace skipattn::model
