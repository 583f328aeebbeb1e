// ModelConfig: the sizes and switches of a decoder, independent of torch. Read from and written to the config.json of a
// Hugging Face directory (hugging_face.h), from [model] of a TOML file, and from the presets below.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipattn/model/rotary_config.h"
#include "skipattn/routing/costs.h"
#include "skipattn/routing/routing.h"

namespace skipattn::model {

/// One decoder. Zero means "derived" where a field says so; resolve() fills those in.
struct ModelConfig {
  std::string name = "gpt2";  ///< preset it came from, for people; "" when from a file
  /// "gpt2": learned positions, LayerNorm, GELU. "llama", "mistral", "qwen2", "qwen3": rotary positions, RMSNorm, SwiGLU;
  /// they differ in the switches below and in the class of Transformers that opens them.
  std::string family = "gpt2";
  int64_t layers = 12;          ///< L, 1..1000
  int64_t heads = 12;           ///< H, query heads, 1 or more
  int64_t kv_heads = 0;         ///< Hkv, divides heads; 0: heads
  int64_t width = 768;          ///< D
  int64_t head_width = 0;       ///< d; 0: width / heads
  int64_t mlp_width = 0;        ///< 0: 4 * width; Llama: 8/3 * width, rounded up to a multiple of 256
  int64_t vocabulary = 0;       ///< 0: the data's when training, else 50257; Llama: 32000
  int64_t positions = 0;        ///< longest context; 0: the data's context when training, else 1024; Llama: 2048
  bool tied_head = true;        ///< the vocabulary head is the token embedding
  bool bias = true;             ///< gpt2: biases in linear layers and norms
  bool qkv_bias = false;        ///< Llama: biases of Q, K and V; qwen2 has them
  bool output_bias = false;     ///< Llama: bias of the attention's output projection
  bool mlp_bias = false;        ///< Llama: biases in the MLP
  bool query_key_norm = false;  ///< Llama: RMSNorm over each head of Q and K before rotation; qwen3 has it
  std::string activation = "gelu_new";  ///< "gelu_new" (tanh form, GPT-2's) or "gelu" (exact, nanoGPT's); Llama: "silu"
  double norm_epsilon = 1e-5;
  RotaryConfig rotary = {};                   ///< Llama: positions
  int64_t window = 0;                         ///< sliding window in tokens, the query itself included; 0: none
  std::vector<int64_t> windowed_layers = {};  ///< layers that have the window, ascending; empty: all of them
  bool scale_attention = true;                ///< false: softmax scale 1 instead of 1/sqrt(d)
  bool scale_by_layer = false;                ///< softmax scale of layer l divided by l + 1
  double initializer_range = 0.02;            ///< deviation of the initial weights; residual projections / sqrt(2 L)
  int64_t end_of_text = -1;                   ///< token id; -1: none
  std::string routing = "baseline";           ///< routing text (routing/routing.h)

  bool operator==(const ModelConfig&) const = default;

  /// Of the Llama family: rotary positions, RMSNorm, SwiGLU.
  bool is_llama() const { return family != "gpt2"; }
  /// Fills in derived zeros (not vocabulary and positions, which data may decide).
  void derive();
  /// derive(), then the family's vocabulary and positions where still zero.
  void resolve();
  /// Throws InputError listing every fault, the routing's included, each line beginning with `prefix`.
  void validate(const std::string& prefix) const;

  routing::Shape routing_shape() const;
  routing::Dimensions dimensions() const;
  /// Softmax scale of layer `layer`.
  double softmax_scale(int64_t layer) const;
  /// Sliding window of layer `layer`; 0: none. A routing may narrow it (routing::LayerPlan::window).
  int64_t layer_window(int64_t layer) const;
};

/// The families that ModelConfig::family may name.
std::vector<std::string> family_names();
/// Names that preset() knows, GPT-2's first, each family in order of size.
std::vector<std::string> preset_names();
/// A preset by name; InputError naming the nearest one otherwise.
ModelConfig preset(const std::string& name);

}  // namespace skipattn::model
