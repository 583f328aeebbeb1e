#include "skipattn/model/attend_cuda.h"

#include <ATen/ATen.h>

#include "skipattn/attention/cuda/routed.h"

namespace skipattn::model {

void attend_by_calls(const AttentionInput& input, const AttentionOutput& output, attention::cuda::Choice& choice) {
  attention::cuda::routed_forward({input.query, input.sources, *input.pairs, input.options}, choice, input.pattern,
                                  {output.attended.transpose(1, 2), output.logsumexp});
}

void attend_backward_by_calls(const AttentionInput& input, const AttentionOutput& output,
                              const at::Tensor& attended_gradient, const at::Tensor& query_gradient,
                              const std::vector<SourceGradient>& source_gradients, attention::cuda::Choice& choice) {
  attention::cuda::RoutedGradients targets{query_gradient, {}};
  for (const SourceGradient& target : source_gradients)
    targets.sources.push_back({.sum = target.sum, .begun = !target.first, .finished = target.finished});
  attention::cuda::routed_backward(
      {input.query, input.sources, *input.pairs, input.options},
      {attended_gradient.transpose(1, 2), output.attended.transpose(1, 2), output.logsumexp}, choice, input.pattern,
      targets);
}

}  // namespace skipattn::model
