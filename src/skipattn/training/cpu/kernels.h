// The CPU's fused kernels; the headers in ../fused say what each does.
#pragma once

#include "skipattn/training/fused/kernels.h"

namespace skipattn::training::cpu {

void softmax_loss(const fused::SoftmaxLoss& call);
void measure_gradients(const fused::UpdateTable& table);
void update_parameters(const fused::UpdateTable& table);

}  // namespace skipattn::training::cpu
