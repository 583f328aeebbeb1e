// The operator's schema-shaped functions, written once: each backend registers
//   m.impl("routed_attention", TORCH_FN((forward_kernel<my_forward>)));
// with a function of a Problem, and calls the dispatcher with call_forward() / call_backward().
#pragma once

#include <torch/library.h>

#include <tuple>
#include <vector>

#include "skipattn/attention/problem.h"

namespace skipattn::attention {

using ForwardOutput = std::tuple<at::Tensor, at::Tensor>;
using BackwardOutput = std::tuple<at::Tensor, std::vector<at::Tensor>>;
using ForwardFunction = Result (*)(const Problem&);
using BackwardFunction = Gradients (*)(const Problem&, const BackwardInput&);

/// The operators through the dispatcher, whatever the device and whether autograd is on.
Result call_forward(const Problem& problem);
Gradients call_backward(const Problem& problem, const BackwardInput& input);

template <ForwardFunction function>
ForwardOutput forward_kernel(const at::Tensor& query, at::TensorList sources, at::IntArrayRef routes,
                             at::IntArrayRef route_offsets, bool causal, std::optional<double> scale,
                             const std::optional<at::Tensor>& first_key, double dropout_p, int64_t dropout_seed) {
  Result result = function({query,
                            sources.vec(),
                            unflatten_pairs(routes, route_offsets),
                            {causal, scale, first_key, dropout_p, dropout_seed}});
  return {std::move(result.output), std::move(result.logsumexp)};
}

template <BackwardFunction function>
BackwardOutput backward_kernel(const at::Tensor& grad_output, const at::Tensor& query, at::TensorList sources,
                               const at::Tensor& output, const at::Tensor& logsumexp, at::IntArrayRef routes,
                               at::IntArrayRef route_offsets, bool causal, std::optional<double> scale,
                               const std::optional<at::Tensor>& first_key, double dropout_p, int64_t dropout_seed) {
  Gradients gradients = function({query,
                                  sources.vec(),
                                  unflatten_pairs(routes, route_offsets),
                                  {causal, scale, first_key, dropout_p, dropout_seed}},
                                 {grad_output, output, logsumexp});
  return {std::move(gradients.query), std::move(gradients.sources)};
}

}  // namespace skipattn::attention
