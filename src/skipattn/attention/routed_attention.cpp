#include "skipattn/attention/routed_attention.h"

#include "skipattn/attention/problem.h"
#include "skipattn/attention/reference.h"
#include "skipattn/attention/registration.h"

namespace skipattn::attention {

Result routed_attention(const at::Tensor& query, const std::vector<at::Tensor>& sources, const HeadPairs& pairs,
                        const Options& options) {
  return call_forward({query, sources, pairs, options});
}

Gradients routed_attention_backward(const at::Tensor& grad_output, const at::Tensor& query,
                                    const std::vector<at::Tensor>& sources, const HeadPairs& pairs,
                                    const Options& options, const Result& result) {
  return call_backward({query, sources, pairs, options}, {grad_output, result.output, result.logsumexp});
}

Result routed_attention_reference(const at::Tensor& query, const std::vector<at::Tensor>& sources,
                                  const HeadPairs& pairs, const Options& options) {
  return reference_forward({query, sources, pairs, options});
}

}  // namespace skipattn::attention
