// The attention of one layer in a training pass: routed attention into buffers that exist already, and gradients that
// reach keys and values read by several layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "skipattn/attention/cpu/flash.h"
#include "skipattn/attention/cuda/key_pattern.h"
#include "skipattn/attention/routed_attention.h"

namespace skipattn::model {

/// What a layer's attention reads.
struct AttentionInput {
  at::Tensor query = {};            ///< [B, H, T, d], a view
  std::vector<at::Tensor> sources;  ///< keys and values, [B, heads, T, d] views
  const attention::HeadPairs* pairs = nullptr;
  attention::Options options;
  std::vector<attention::cpu::Panels*>
      panels;  ///< packed forms of the sources, one per source or none at all: made when
               ///< first needed, kept for the other layers that read the source. CPU
  const attention::cuda::KeyPattern* pattern = nullptr;  ///< of options.first_key; null: found here. CUDA
};

/// What it writes and its backward pass reads again.
struct AttentionOutput {
  at::Tensor attended = {};   ///< [B, T, H, d], contiguous
  at::Tensor logsumexp = {};  ///< fp32 [B, H, T]
};
void attend(const AttentionInput& input, const AttentionOutput& output);

/// Where the gradient of one source goes. What the layers above added before is in `sum`.
struct SourceGradient {
  at::Tensor sum =
      {};              ///< fp32, the source's shape: gradients of several readers; undefined: this layer alone reads it
  bool first = false;  ///< sum holds nothing yet
  at::Tensor finished =
      {};  ///< the source's shape and dtype: the whole gradient goes here and nothing to sum; undefined:
           ///< more readers follow, add to sum
};
void attend_backward(const AttentionInput& input, const AttentionOutput& output, const at::Tensor& attended_gradient,
                     const at::Tensor& query_gradient, const std::vector<SourceGradient>& source_gradients);

}  // namespace skipattn::model
