// attend() and attend_backward() by fused calls of the framework's attention, as a CUDA device wants it. The choice among
// implementations is an argument, so that tests run all of it without a device.
#pragma once

#include "skipattn/attention/cuda/choice.h"
#include "skipattn/model/attend.h"

namespace skipattn::model {

void attend_by_calls(const AttentionInput& input, const AttentionOutput& output, attention::cuda::Choice& choice);

void attend_backward_by_calls(const AttentionInput& input, const AttentionOutput& output,
                              const at::Tensor& attended_gradient, const at::Tensor& query_gradient,
                              const std::vector<SourceGradient>& source_gradients, attention::cuda::Choice& choice);

}  // namespace skipattn::model
