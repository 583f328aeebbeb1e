// The fused kernels of one kind of device, as a table of functions; the headers beside this say what each does. Calls such
// as layer_norm_forward() look up the table of the device that their tensors lie on.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/model/fused/column_sums.h"
#include "skipattn/model/fused/dropout.h"
#include "skipattn/model/fused/embedding.h"
#include "skipattn/model/fused/gelu.h"
#include "skipattn/model/fused/head_norm.h"
#include "skipattn/model/fused/layer_norm.h"
#include "skipattn/model/fused/rotary.h"
#include "skipattn/model/fused/swiglu.h"

namespace skipattn::model::fused {

struct Kernels {
  decltype(&fused::layer_norm_forward) layer_norm_forward;
  decltype(&fused::layer_norm_backward) layer_norm_backward;
  decltype(&fused::head_norm_forward) head_norm_forward;
  decltype(&fused::head_norm_backward) head_norm_backward;
  decltype(&fused::rotate) rotate;
  decltype(&fused::gelu_forward) gelu_forward;
  decltype(&fused::gelu_backward) gelu_backward;
  decltype(&fused::swiglu_forward) swiglu_forward;
  decltype(&fused::swiglu_backward) swiglu_backward;
  decltype(&fused::embed) embed;
  decltype(&fused::add_embedding_gradient) add_embedding_gradient;
  decltype(&fused::dropout_mask) dropout_mask;
  decltype(&fused::drop_in_place) drop_in_place;
  decltype(&fused::set_to_zero) set_to_zero;
  decltype(&fused::column_sums) column_sums;
  bool sums_in_passing = false;
};

/// Whether this build has kernels for the device.
bool has_kernels(at::Device device);

/// For tests: tensors of the CPU go through these kernels from now on (the emulated ones of CUDA); null: through its own.
void replace_cpu_kernels(const Kernels* kernels);

}  // namespace skipattn::model::fused

namespace skipattn::model::cpu {
const fused::Kernels& kernels();
}

namespace skipattn::model::cuda {
/// Null in a build without CUDA.
const fused::Kernels* kernels();
}  // namespace skipattn::model::cuda
