#include "skipattn/model/fused_layer.h"

#include <ATen/ATen.h>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/fused/gelu.h"
#include "skipattn/model/fused/head_norm.h"
#include "skipattn/model/fused/rotary.h"
#include "skipattn/model/fused/swiglu.h"

namespace skipattn::model {

at::Tensor head_columns(const at::Tensor& projection, const LayerLayout& layout, int64_t begin, int64_t count) {
  return projection.narrow(1, begin * layout.head_width, count * layout.head_width);
}

void place_heads_fused(const LayerLayout& layout, const LayerWeights& weights, const Projection& projection) {
  const auto norm_heads = [&](int64_t begin, int64_t count, const at::Tensor& weight) {
    fused::head_norm_forward(head_columns(projection.qkv, layout, begin, count),
                             head_columns(projection.unnormed, layout, begin, count), norm_parameters(layout, weight));
  };
  if (weights.query_norm.defined()) {
    const OperationTimer timer("norm forward");
    norm_heads(0, layout.heads, weights.query_norm);
    if (layout.live_keys > 0) norm_heads(layout.heads, layout.live_keys, weights.key_norm);
  }
  if (!projection.rotary_table.defined()) return;
  const OperationTimer timer("rotary forward");
  fused::rotate(head_columns(projection.qkv, layout, 0, layout.heads + layout.live_keys), projection.positions,
                projection.rotary_table, fused::Turn::kForward);
}

void activate_fused(const at::Tensor& x, const at::Tensor& to, Activation activation) {
  if (activation == Activation::kSwiGlu) {
    const OperationTimer timer("swiglu forward");
    return fused::swiglu_forward(x, to);
  }
  const OperationTimer timer("gelu forward");
  fused::gelu_forward(x, to, activation == Activation::kGelu);
}

}  // namespace skipattn::model
