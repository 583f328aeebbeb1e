#include "skipattn/model/cpu/kernels.h"

namespace skipattn::model::cpu {

const fused::Kernels& kernels() {
  static constexpr fused::Kernels table = {.layer_norm_forward = layer_norm_forward,
                                           .layer_norm_backward = layer_norm_backward,
                                           .head_norm_forward = head_norm_forward,
                                           .head_norm_backward = head_norm_backward,
                                           .rotate = rotate,
                                           .gelu_forward = gelu_forward,
                                           .gelu_backward = gelu_backward,
                                           .swiglu_forward = swiglu_forward,
                                           .swiglu_backward = swiglu_backward,
                                           .embed = embed,
                                           .add_embedding_gradient = add_embedding_gradient,
                                           .dropout_mask = dropout_mask,
                                           .drop_in_place = drop_in_place,
                                           .set_to_zero = set_to_zero,
                                           .column_sums = column_sums};
  return table;
}

}  // namespace skipattn::model::cpu
