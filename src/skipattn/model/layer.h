// One decoder layer as a pure function of its input, its weights and the keys and values that lower layers lend it.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "skipattn/attention/routed_attention.h"
#include "skipattn/model/activation.h"
#include "skipattn/model/config.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/rotary.h"
#include "skipattn/routing/plan.h"

namespace skipattn::model {

/// The keys and values one layer projected, live heads only; undefined where none are live.
struct KeyValues {
  at::Tensor keys;    ///< [B, live K heads, S, d]; normed and turned to their positions where the model does that
  at::Tensor values;  ///< [B, live V heads, S, d]
};

/// Called with what a layer just projected; returns what its readers see (a cache appends and returns the whole).
using KeyValueHook = std::function<KeyValues(int64_t layer, const KeyValues& projected)>;

/// What never changes about a layer: its numbers and where its heads read.
struct LayerLayout {
  /// One tensor the layer's attention reads.
  struct SourceTensor {
    int64_t layer = 0;
    bool is_value = false;
  };
  int64_t layer = 0;
  int64_t heads = 0;
  int64_t head_width = 0;
  int64_t live_keys = 0;  ///< KV heads whose keys this layer projects
  int64_t live_values = 0;
  int64_t window = 0;  ///< 0: none
  double softmax_scale = 0;
  double norm_epsilon = 1e-5;
  bool rms_norm = false;  ///< RMSNorm instead of LayerNorm
  Activation activation = Activation::kGeluTanh;
  std::vector<SourceTensor> sources;  ///< distinct tensors, own ones included
  attention::HeadPairs pairs;         ///< per KV head, indices into `sources`
};

/// Layouts of all layers of a plan; `config` resolved.
std::vector<LayerLayout> make_layouts(const ModelConfig& config, const routing::Plan& plan);

/// A layer's weights, [out, in]; biases may be undefined.
struct LayerWeights {
  at::Tensor norm1_weight, norm1_bias;    // [D]
  at::Tensor qkv_weight, qkv_bias;        // [(H + live K + live V) * d, D]
  at::Tensor query_norm, key_norm;        // [d]; undefined without query and key norms
  at::Tensor output_weight, output_bias;  // [D, H * d]
  at::Tensor norm2_weight, norm2_bias;    // [D]
  at::Tensor up_weight, up_bias;          // [mlp, D]; SwiGLU: [2 mlp, D], gates first
  at::Tensor down_weight, down_bias;      // [D, mlp]

  /// All of them in declaration order, undefined ones included; and back.
  std::vector<at::Tensor> list() const;
  static LayerWeights from_list(const std::vector<at::Tensor>& tensors);
};

/// What differs from call to call.
struct LayerCall {
  std::optional<at::Tensor> first_key;  ///< int32 [B, T], the window applied already
  std::optional<RotaryAngles> rotary;   ///< of the call's tokens; empty with learned positions
  double dropout = 0.0;
  uint64_t dropout_seed = 0;    ///< this layer's
  KeyValueHook key_value_hook;  ///< may be empty
};

/// The layer's output.
struct LayerResult {
  at::Tensor residual;   ///< [B, T, D]
  KeyValues key_values;  ///< what readers of this layer see
};

/// residual [B, T, D]; lower[m] for m < layer.layer holds what layer m offers its readers (undefined tensors where
/// nobody reads any more).
LayerResult run_layer(const LayerLayout& layout, const LayerWeights& weights, const at::Tensor& residual,
                      const std::vector<KeyValues>& lower, const LayerCall& call);

/// run_layer() that keeps no activations inside the layer: the backward pass runs it again. Same values, same gradients.
LayerResult run_layer_recomputed(const LayerLayout& layout, const LayerWeights& weights, const at::Tensor& residual,
                                 const std::vector<KeyValues>& lower, const LayerCall& call);

/// A norm of the layer, with its kind and epsilon.
fused::NormParameters norm_parameters(const LayerLayout& layout, const at::Tensor& weight, const at::Tensor& bias = {});

/// Zeroes elements with probability p and scales the rest by 1/(1-p); the mask is a pure function of `seed`.
at::Tensor seeded_dropout(const at::Tensor& x, double p, uint64_t seed);

}  // namespace skipattn::model
