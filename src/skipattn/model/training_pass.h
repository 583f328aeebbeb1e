// TrainingPass: a decoder's forward and backward pass with the derivatives written by hand, over buffers that are made once
// for a shape and used again step after step. What run_layer() (layer.h) and torch's autograd define, on the CPU in bf16 or
// fp32, without their temporaries:
//
//   TrainingPass pass(decoder);
//   pass.prepare({.batch = 4, .length = 1024, .loss_bytes = …});
//   const at::Tensor hidden = pass.forward(input, {});                  // [N, D]
//   … write the loss's gradient into pass.hidden_gradient(), using pass.loss_scratch() …
//   pass.backward({gradients, /*add=*/false});                          // fp32, in the parameter table's order
//
// No matrix product and no attention runs twice (without recompute): norms and activations are made again in the backward
// pass from what they read. Results are the same for any number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <vector>

#include "skipattn/model/attend.h"
#include "skipattn/model/decoder.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/matmul.h"
#include "skipattn/model/pass_buffers.h"

namespace skipattn::model {

/// How one pass runs.
struct PassOptions {
  double dropout = 0.0;  ///< as ForwardOptions'
  uint64_t dropout_seed = 0;
};

/// Where the gradients go.
struct ParameterGradients {
  const std::vector<at::Tensor>& tensors;  ///< fp32, one per parameter of the table, of its shape
  bool add = false;                        ///< add to them instead of setting them

  /// By position in the parameter table; undefined for -1.
  at::Tensor at(int index) const { return index < 0 ? at::Tensor() : tensors[index]; }
  LinearGradient linear(int weight, int bias) const { return {at(weight), at(bias), add}; }
};

class TrainingPass {
 public:
  /// The decoder must outlive the pass; its parameters may change between passes, not within one.
  explicit TrainingPass(const Decoder& decoder);

  /// Whether a decoder of this device and dtype can be run (a device with fused kernels; bf16 or fp32 with fp32 norms).
  static bool serves(const Decoder& decoder);

  /// Makes the buffers, unless they are of this shape already.
  void prepare(const PassShape& shape);

  /// The final norm's output [N, D], in the compute dtype; valid until backward(). The input has prepare()'s shape.
  const at::Tensor& forward(const Input& input, const PassOptions& options);

  /// The loss's gradient with respect to forward()'s result goes here before backward(): [N, D], its dtype.
  const at::Tensor& hidden_gradient() const { return buffers_.output_gradient; }
  /// loss_bytes of memory for use between forward() and backward(), uint8.
  const at::Tensor& loss_scratch() const { return buffers_.loss_scratch; }

  /// Gradients of all parameters but an untied vocabulary head's (the loss makes that one). A tied head's gradient is the
  /// token embedding's: the loss has set or added its part already.
  void backward(const ParameterGradients& gradients);

 private:
  /// What the layers of one window may see.
  struct Mask {
    std::optional<at::Tensor> first_key = {};  // int32 [B, T], the window applied
    std::optional<attention::cuda::KeyPattern> pattern =
        {};  // what first_key says, as far as it is known without reading it
  };
  Mask make_mask(const Input& input, int64_t window) const;
  void make_masks(const Input& input);
  void embed();
  void make_rotary_table(const Input& input);
  void forward_layer(int64_t layer);
  void start_layer(int64_t layer);
  void attend_layer(int64_t layer, const LayerBuffers& to, const at::Tensor& normed);
  void place_heads(int64_t layer, const LayerBuffers& to) const;
  void activate(int64_t layer) const;
  void forward_middle(int64_t layer, const LayerBuffers& to, const at::Tensor& normed, const at::Tensor& branch);
  void lend(int64_t layer, const LayerBuffers& from);
  void rerun_layer(int64_t layer);
  void backward_place_heads(int64_t layer, const ParameterGradients& gradients) const;
  struct ActivationBackward {
    at::Tensor activated;    // [N, mlp], once more
    at::Tensor up_gradient;  // of what the up projection made
  };
  ActivationBackward backward_activate(int64_t layer, const ParameterGradients& gradients) const;
  void backward_mlp(int64_t layer, const ParameterGradients& gradients);
  void backward_attention(int64_t layer, const ParameterGradients& gradients);
  void backward_projection(int64_t layer, const ParameterGradients& gradients);
  void backward_embedding(const ParameterGradients& gradients);

  /// The gradient of a bias for the kernel that makes what its column sums are of, and for the product; one is undefined.
  at::Tensor bias_in_passing(const ParameterGradients& gradients, int bias) const;
  LinearGradient linear_after(const ParameterGradients& gradients, int weight, int bias) const;

  fused::NormParameters norm1(int64_t layer) const;
  fused::NormParameters norm2(int64_t layer) const;
  uint64_t layer_seed(int64_t layer) const;
  void drop(const at::Tensor& x, int64_t layer, const char* place) const;
  AttentionInput attention_input(int64_t layer, const at::Tensor& qkv);
  void forget_read_panels(int64_t layer);
  void place_panels(bool backward);
  /// Heads of a projection [B, T, rows] of layer `layer` (or of its gradient) as views [B, heads, T, d].
  at::Tensor query_heads(int64_t layer, const at::Tensor& qkv) const;
  at::Tensor own_heads(int64_t layer, bool is_value, const at::Tensor& qkv) const;
  std::vector<SourceGradient> source_gradients(int64_t layer, const at::Tensor& qkv_gradient) const;
  void finish_lent(int64_t layer, const at::Tensor& qkv_gradient) const;

  const Decoder& decoder_;
  PassShape shape_;
  PassBuffers buffers_;
  PassOptions options_;
  at::Tensor tokens_, positions_;                                  // int64 [N]
  at::Tensor rotary_table_;                                        // fp32 [positions, 2, d/2]; grows when needed
  std::map<int64_t, Mask> masks_;                                  // per window of a layer, 0: none
  std::vector<LayerWeights> weights_;                              // [L]
  std::vector<attention::cpu::Panels> key_panels_, value_panels_;  // [L], packed while layers read them
};

}  // namespace skipattn::model
