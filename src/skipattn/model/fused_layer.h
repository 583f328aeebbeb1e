// What a layer does between its products, by the fused kernels: shared by the training pass, prompts and a card's decoding.
// layer.h has the plain form.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/layer.h"

namespace skipattn::model {

/// Heads [begin, begin + count) of a projection [N, rows] as a view [N, count * d].
at::Tensor head_columns(const at::Tensor& projection, const LayerLayout& layout, int64_t begin, int64_t count);

/// A projection whose heads are to be placed.
struct Projection {
  at::Tensor qkv = {};        ///< [N, (H + live K + live V) * d]; changed in place
  at::Tensor unnormed = {};   ///< [N, at least (H + live K) * d]: with query and key norms, what the heads were before
  at::Tensor positions = {};  ///< int64 [N]
  at::Tensor rotary_table = {};  ///< fused::rotary_table(); undefined with learned positions
};

/// Queries and keys become what attention reads: normed, then turned to their positions. Other layers read the keys so.
void place_heads_fused(const LayerLayout& layout, const LayerWeights& weights, const Projection& projection);

/// activate() of x [N, mlp] (SwiGLU: [N, 2 mlp]) into `to` [N, mlp]; GELU may work in place.
void activate_fused(const at::Tensor& x, const at::Tensor& to, Activation activation);

}  // namespace skipattn::model
