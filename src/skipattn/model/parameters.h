// The parameters of a decoder: one table of names, shapes, initial values and which rows of the baseline tensor exist.
// The model, the optimizer, checkpoints and conversion all read this table.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "skipattn/model/config.h"
#include "skipattn/routing/plan.h"

namespace skipattn::model {

/// How a parameter begins.
enum class Init { kNormal, kZeros, kOnes };

/// A run of a parameter's baseline rows that a file holds as a tensor of its own.
struct FilePart {
  std::string name;            ///< Hugging Face's name: "model.layers.0.self_attn.k_proj.weight"
  int64_t begin = 0, end = 0;  ///< [begin, end) of the baseline rows
};

/// A tensor of a file and the rows of the parameter, as it is in memory, that it holds.
struct StoredPart {
  std::string name;
  int64_t first_row = 0;
  int64_t rows = 0;
  std::vector<int64_t> shape;  ///< in the file
};

/// One parameter. In memory a matrix is [out, in] (a KV head is a run of rows); GPT-2's files hold it transposed, Llama's
/// hold Q, K and V, and gate and up, apart.
struct ParameterSpec {
  std::string name;  ///< Hugging Face's name, "transformer.h.0.attn.c_attn.weight"; of several parts, one like theirs
  std::vector<int64_t> baseline_shape;                 ///< in memory, all heads live
  std::vector<std::pair<int64_t, int64_t>> live_rows;  ///< [begin, end) of the baseline rows that exist, ascending
  std::vector<FilePart> parts;                         ///< what files call its pieces; empty: one tensor, `name`
  bool transposed_in_file = false;                     ///< not with parts
  bool is_norm = false;                                ///< kept in fp32 whatever the compute dtype
  bool decays = false;                                 ///< weight decay applies (matrices and embeddings only)
  Init init = Init::kNormal;
  double deviation = 0.02;  ///< of Init::kNormal

  int64_t live_row_count() const;
  std::vector<int64_t> shape() const;  ///< in memory, live rows only
  int64_t elements() const;            ///< of shape()
  bool is_complete() const;            ///< every baseline row is live
  /// The tensors of a file that hold it; parts of which nothing is live are left out.
  std::vector<StoredPart> stored_parts() const;
};

/// Position of each of a layer's parameters in the table; -1 where it does not exist.
struct LayerIndex {
  int norm1_weight = -1, norm1_bias = -1;
  int qkv_weight = -1, qkv_bias = -1;  ///< Q of all heads, K of live heads, V of live heads
  int query_norm = -1, key_norm = -1;  ///< the key norm has no rows where no key is live
  int output_weight = -1, output_bias = -1;
  int norm2_weight = -1, norm2_bias = -1;
  int up_weight = -1, up_bias = -1;  ///< Llama: gate rows, then up rows
  int down_weight = -1, down_bias = -1;
};

struct ParameterTable {
  std::vector<ParameterSpec> specs;
  std::vector<LayerIndex> layers;
  int token_embedding = -1;
  int position_embedding = -1;           ///< -1 with rotary positions
  int norm_weight = -1, norm_bias = -1;  ///< the final norm
  int head = -1;                         ///< == token_embedding when tied

  int64_t elements() const;
};

/// `config` must be resolved and valid. Every routing of a config has the same parameters in the same order; only which
/// rows of them exist differs.
ParameterTable make_parameter_table(const ModelConfig& config, const routing::Plan& plan);

/// The initial value: the whole baseline tensor is drawn from (seed, name), then its live rows are taken, so that all
/// routings of one seed share every weight they both have. fp32 on the CPU.
at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed);

/// The live rows of a baseline-shaped tensor (a view when all are live).
at::Tensor take_live_rows(const at::Tensor& baseline, const ParameterSpec& spec);

}  // namespace skipattn::model
