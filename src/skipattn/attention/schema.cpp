// The operator's schemas, the calls through the dispatcher, and the implementation for devices
// without one of their own: the reference, which is plain torch operations and so runs anywhere.
#include <ATen/core/dispatch/Dispatcher.h>

#include "skipattn/attention/reference.h"
#include "skipattn/attention/registration.h"

namespace skipattn::attention {

using ForwardSchema = ForwardOutput(const at::Tensor&, at::TensorList, at::IntArrayRef, at::IntArrayRef, bool,
                                    std::optional<double>, const std::optional<at::Tensor>&, double, int64_t);
using BackwardSchema = BackwardOutput(const at::Tensor&, const at::Tensor&, at::TensorList, const at::Tensor&,
                                      const at::Tensor&, at::IntArrayRef, at::IntArrayRef, bool, std::optional<double>,
                                      const std::optional<at::Tensor>&, double, int64_t);

Result call_forward(const Problem& problem) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("skipattn::routed_attention", "").typed<ForwardSchema>();
  const FlatRoutes flat = flatten_pairs(problem.pairs);
  const Options& options = problem.options;
  auto [output, logsumexp] = op.call(problem.query, problem.sources, flat.routes, flat.offsets, options.causal,
                                     options.scale, options.first_key, options.dropout_p, options.dropout_seed);
  return {output, logsumexp};
}

Gradients call_backward(const Problem& problem, const BackwardInput& input) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("skipattn::routed_attention_backward", "").typed<BackwardSchema>();
  const FlatRoutes flat = flatten_pairs(problem.pairs);
  const Options& options = problem.options;
  auto [query, sources] =
      op.call(input.grad_output, problem.query, problem.sources, input.output, input.logsumexp, flat.routes,
              flat.offsets, options.causal, options.scale, options.first_key, options.dropout_p, options.dropout_seed);
  return {query, sources};
}

TORCH_LIBRARY(skipattn, m) {
  m.def(
      "routed_attention(Tensor query, Tensor[] sources, int[] routes, int[] route_offsets, *, bool "
      "causal=True, "
      "float? scale=None, Tensor? first_key=None, float dropout_p=0.0, int dropout_seed=0) "
      "-> (Tensor output, Tensor logsumexp)");
  m.def(
      "routed_attention_backward(Tensor grad_output, Tensor query, Tensor[] sources, Tensor "
      "output, "
      "Tensor logsumexp, int[] routes, int[] route_offsets, *, bool causal=True, float? "
      "scale=None, "
      "Tensor? first_key=None, float dropout_p=0.0, int dropout_seed=0) "
      "-> (Tensor grad_query, Tensor[] grad_sources)");
}

TORCH_LIBRARY_IMPL(skipattn, CompositeExplicitAutograd, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<reference_forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<reference_backward>)));
}

}  // namespace skipattn::attention
