#include "skipattn/model/attend.h"

#include <ATen/ATen.h>

namespace skipattn::model {

void attend(const AttentionInput& input, const AttentionOutput& output) {
  const attention::Result result = attention::routed_attention(input.query, input.sources, *input.pairs, input.options);
  output.attended.copy_(result.output.transpose(1, 2));
  output.logsumexp.copy_(result.logsumexp);
}

void attend_backward(const AttentionInput& input, const AttentionOutput& output, const at::Tensor& attended_gradient,
                     const at::Tensor& query_gradient, const std::vector<SourceGradient>& source_gradients) {
  const attention::Result result = {output.attended.transpose(1, 2), output.logsumexp};
  const attention::Gradients gradients = attention::routed_attention_backward(
      attended_gradient.transpose(1, 2), input.query, input.sources, *input.pairs, input.options, result);
  query_gradient.copy_(gradients.query);
  for (size_t i = 0; i < source_gradients.size(); ++i) {
    const SourceGradient& target = source_gradients[i];
    const at::Tensor& own = gradients.sources[i];
    if (!target.finished.defined()) {
      target.first ? target.sum.copy_(own) : target.sum.add_(own);
    } else if (!target.sum.defined() || target.first) {
      target.finished.copy_(own);
    } else {
      target.finished.copy_(target.sum + own);
    }
  }
}

}  // namespace skipattn::model
