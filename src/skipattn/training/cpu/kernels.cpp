#include "skipattn/training/cpu/kernels.h"

namespace skipattn::training::cpu {

const fused::Kernels& kernels() {
  static constexpr fused::Kernels table = {
      .softmax_loss = softmax_loss, .measure_gradients = measure_gradients, .update_parameters = update_parameters};
  return table;
}

}  // namespace skipattn::training::cpu
