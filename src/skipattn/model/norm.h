// LayerNorm and RMSNorm in plain torch operations; fused/layer_norm.h is the fused form of both.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/fused/layer_norm.h"

namespace skipattn::model {

/// Norms the last dimension of x in the norm's precision; the result is in `dtype`.
at::Tensor normalize(const at::Tensor& x, const fused::NormParameters& norm, at::ScalarType dtype);

}  // namespace skipattn::model
