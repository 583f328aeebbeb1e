// What an MLP does between its two products, in plain torch operations; fused/gelu.h and fused/swiglu.h are the fused forms.
#pragma once

#include <ATen/core/Tensor.h>

namespace skipattn::model {

enum class Activation {
  kGeluTanh,  ///< GELU (Hendrycks & Gimpel 2016) in its tanh form, GPT-2's
  kGelu,      ///< GELU exactly, x Phi(x)
  kSwiGlu,    ///< silu(gate) * up (Shazeer 2020); takes twice the width: gates, then what they multiply
};

/// [..., mlp] (SwiGLU: [..., 2 mlp]) to [..., mlp].
at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace skipattn::model
