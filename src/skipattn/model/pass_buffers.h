// The memory of a fused training pass (training_pass.h): which buffers exist, when each is alive, and one arena that holds
// them all. Made once for a shape and used again step after step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "skipattn/model/config.h"
#include "skipattn/model/layer.h"

namespace skipattn::model {

/// What decides the buffers' sizes and lives.
struct PassShape {
  int64_t batch = 0;   ///< B, sequences
  int64_t length = 0;  ///< T, tokens of each
  bool recompute =
      false;  ///< keep layer inputs and borrowed keys and values only; layers run again in the backward pass
  at::Device device = at::kCPU;
  int64_t loss_bytes = 0;  ///< scratch for the loss, alive between the forward and the backward pass
  bool operator==(const PassShape&) const = default;
};

/// What one layer's forward pass makes and its backward pass reads. N = B * T.
struct LayerBuffers {
  at::Tensor statistics1;  ///< fp32 [N, 2]
  at::Tensor qkv;          ///< [B, T, (H + live K + live V) * d]; Q and K as attention reads them
  at::Tensor unnormed;     ///< [N, (H + live K) * d], Q and K before their norms; only where they have such
  at::Tensor attended;     ///< [B, T, H, d]
  at::Tensor logsumexp;    ///< fp32 [B, H, T]
  at::Tensor middle;       ///< fp32 [N, D], the residual after attention
  at::Tensor statistics2;  ///< fp32 [N, 2]
  at::Tensor hidden;       ///< [N, mlp], before the activation; SwiGLU: [N, 2 mlp]
};

/// One layer's keys or values that layers above read too.
struct LentBuffers {
  at::Tensor kept;           ///< [B, T, heads, d]: a copy, only with recomputation
  at::Tensor gradient;       ///< fp32 [B, T, heads, d]: sum over its readers
  int64_t last_reader = -1;  ///< the highest layer that reads it; -1: nobody above does
};

/// Where the CPU's attention packs one layer's keys or values (attention/cpu/flash.h), while layers read them. Undefined
/// where it does not. uint8.
struct PanelBuffers {
  at::Tensor forward;                        ///< keys by rows, values by pairs
  at::Tensor backward_rows, backward_pairs;  ///< both forms of keys; values by rows, with recomputation in both too
};

struct PassBuffers {
  std::vector<at::Tensor> residual;       ///< [L + 1], fp32 [N, D]: inputs of the layers, then of the final norm
  std::vector<LayerBuffers> forward;      ///< [L]
  std::vector<LayerBuffers> backward;     ///< [L]; the same tensors without recomputation
  std::vector<LentBuffers> keys, values;  ///< [L]
  std::vector<PanelBuffers> key_panels, value_panels;  ///< [L]
  at::Tensor final_statistics;                         ///< fp32 [N, 2]
  at::Tensor output, output_gradient;                  ///< [N, D], the final norm's output
  at::Tensor loss_scratch;                             ///< uint8 [loss_bytes]
  // Scratch; each has its own life in the plan.
  std::vector<at::Tensor> normed, branch, activated;                   // forward, [L]: [N, D], [N, D], [N, mlp]
  std::vector<at::Tensor> rerun_normed, rerun_branch;                  // recomputation, [L]
  std::vector<at::Tensor> hidden_gradient, normed2, normed2_gradient;  // backward, [L]
  std::vector<at::Tensor> attended_gradient, qkv_gradient, normed1, normed1_gradient;
  at::Tensor gradient;   ///< fp32 [N, D], of the residual
  at::Tensor rounded;    ///< [N, D], the same in the compute dtype
  at::Tensor norm_sums;  ///< fp32 scratch of the norms' backward passes
  at::Tensor arena;      ///< uint8, holds all of the above
};

/// `dtype` is the compute dtype.
PassBuffers make_pass_buffers(const ModelConfig& config, const std::vector<LayerLayout>& layouts, at::ScalarType dtype,
                              const PassShape& shape);

}  // namespace skipattn::model
