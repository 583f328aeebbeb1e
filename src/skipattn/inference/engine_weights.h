// A decoder's weights as the engine reads them: every matrix once, in one dtype, rows one after the other in huge pages.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "skipattn/inference/cpu/dots.h"
#include "skipattn/inference/cpu/row_ops.h"
#include "skipattn/inference/memory.h"
#include "skipattn/model/decoder.h"

namespace skipattn::inference {

/// A matrix [out, in] and its bias.
struct Linear {
  cpu::MatrixView matrix;
  at::Tensor weight = {};     ///< the same memory: [out, in] in the dtype of `matrix`
  at::Tensor bias = {};       ///< [out] in the compute dtype of prompts, or undefined
  at::Tensor bias_fp32 = {};  ///< the same numbers

  const float* bias_data() const { return bias_fp32.defined() ? bias_fp32.const_data_ptr<float>() : nullptr; }
};

struct Norm {
  at::Tensor weight = {};  ///< fp32 [width]
  at::Tensor bias = {};    ///< fp32 or undefined
  double epsilon = 1e-5;
  bool centred = true;  ///< LayerNorm; false: RMSNorm

  bool defined() const { return weight.defined(); }
  cpu::NormRow row() const;
};

struct EngineLayer {
  Norm norm1, norm2;
  Norm query_norm, key_norm;  ///< over each head [d], before its rotation; undefined: none
  Linear qkv;                 ///< Q of all heads, K of live heads, V of live heads
  Linear output;
  Linear up;  ///< SwiGLU: the gates' rows, then the rows of what they multiply
  Linear down;
};

class EngineWeights {
 public:
  /// Copies the decoder's weights, rounded to `dtype`. Throws InputError for a decoder that is not on the CPU.
  EngineWeights(const model::Decoder& decoder, Dtype dtype);
  EngineWeights(EngineWeights&&) = default;

  const model::ModelConfig& config() const { return config_; }
  const routing::Plan& plan() const { return plan_; }
  const std::vector<model::LayerLayout>& layouts() const { return layouts_; }
  Dtype dtype() const { return dtype_; }
  /// What prompts are computed in: fp32 for fp32 weights, else bf16.
  at::ScalarType compute_dtype() const { return dtype_ == Dtype::kFp32 ? at::kFloat : at::kBFloat16; }
  /// Bytes of the matrices, scales included.
  int64_t matrix_bytes() const { return matrix_bytes_; }

  std::vector<EngineLayer> layers;  ///< [L]
  Linear head;                      ///< the vocabulary head
  Linear token_embedding;           ///< the same matrix when tied
  Norm final_norm;
  model::Activation activation = model::Activation::kGeluTanh;
  at::Tensor position_embedding = {};  ///< fp32 [positions, D], rounded as the compute dtype is; undefined: rotary
  at::Tensor rotary_angles = {};       ///< fp32 [positions, 2, d / 2]: cosines, sines; undefined: learned positions

 private:
  Linear linear(const at::Tensor& weight, const at::Tensor& bias);
  Norm norm(const at::Tensor& weight, const at::Tensor& bias) const;

  model::ModelConfig config_;
  routing::Plan plan_;
  std::vector<model::LayerLayout> layouts_;
  Dtype dtype_;
  int64_t matrix_bytes_ = 0;
  std::vector<LargeMemory> memory_;
};

}  // namespace skipattn::inference
