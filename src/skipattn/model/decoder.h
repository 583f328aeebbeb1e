// Decoder: a transformer whose layers read keys and values as its plan says.
//
//   Decoder decoder(config);                    // shapes only
//   decoder.initialize(seed);                   // or load_checkpoint(), checkpoint.h
//   const at::Tensor hidden = decoder.hidden_states({.tokens = tokens});
//   const at::Tensor logits = decoder.logits(hidden);
//
// Weights exist for live KV heads only. The forward pass is made of the blocks in layer.h, in plain torch operations and
// the routed attention operator, so torch's autograd differentiates it.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "skipattn/attention/cuda/key_pattern.h"
#include "skipattn/model/layer.h"
#include "skipattn/model/parameters.h"

namespace skipattn::model {

/// What a forward pass reads.
struct Input {
  at::Tensor tokens;                         ///< int64 [B, T]
  std::optional<at::Tensor> positions = {};  ///< int64 [B, T]; empty: past, past + 1, …
  std::optional<at::Tensor> first_key = {};  ///< int32 [B, T]: earliest key each token may see; empty: 0
  /// What first_key says, where it says where documents begin and nothing else: saves a card's fused step from looking.
  std::optional<attention::cuda::DocumentStarts> documents = {};
  int64_t past = 0;  ///< tokens already in the cache (their keys come first)
};

/// The input's first_key with a sliding window of `window` tokens applied: int32 [B, T].
at::Tensor windowed_first_key(const Input& input, int64_t window);

/// The positions of the input's tokens: int64 [B, T], or [T] when all rows have the same.
at::Tensor positions_of(const Input& input);

/// How a forward pass runs.
struct ForwardOptions {
  double dropout = 0.0;              ///< probability, [0, 1): embeddings, attention weights, both residual branches
  uint64_t dropout_seed = 0;         ///< masks are a pure function of this and their place
  bool recompute = false;            ///< keep only layer inputs and borrowed K/V; run layers again in the backward pass
  KeyValueHook key_value_hook = {};  ///< a cache; empty in training
};

class Decoder {
 public:
  /// Throws InputError when the config or its routing is wrong. Tensors are left empty.
  explicit Decoder(ModelConfig config);

  const ModelConfig& config() const { return config_; }
  const routing::Routing& routing() const { return routing_; }
  const routing::Plan& plan() const { return plan_; }
  const ParameterTable& table() const { return table_; }

  /// Draws every parameter from (seed, its name); fp32.
  void initialize(uint64_t seed);

  /// The parameters in the table's order, [out, in]; all defined after initialize() or loading.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  void set_parameter(int index, at::Tensor value);

  /// Converts all parameters but the norms (which stay fp32, or become fp64 with the rest).
  void convert_to(at::ScalarType dtype);
  at::ScalarType dtype() const;
  void move_to(at::Device device);

  /// Final-normed hidden states [B, T, D] in the compute dtype.
  at::Tensor hidden_states(const Input& input, const ForwardOptions& options = {}) const;

  /// Layer `layer`'s parameters.
  LayerWeights layer_weights(int64_t layer) const;
  const std::vector<LayerLayout>& layouts() const { return layouts_; }
  /// Throws InputError when the model has no positions for the input's tokens.
  void check_input(const Input& input) const;

  /// hidden [..., D] -> logits [..., vocabulary]
  at::Tensor logits(const at::Tensor& hidden) const;
  /// The norm after the last layer.
  fused::NormParameters final_norm() const;
  /// The vocabulary head's matrix [vocabulary, D].
  const at::Tensor& head_weight() const;

 private:
  const at::Tensor* find(int index) const;
  at::ScalarType residual_dtype() const;
  at::Tensor embed(const Input& input, const at::Tensor& positions, const ForwardOptions& options) const;

  ModelConfig config_;
  routing::Routing routing_;
  routing::Plan plan_;
  ParameterTable table_;
  std::vector<LayerLayout> layouts_;  // [L]
  std::vector<at::Tensor> parameters_;
};

}  // namespace skipattn::model
