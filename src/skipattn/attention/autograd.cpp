// The operator's derivative: forward saves its inputs, output and logsumexp; backward is one call
// of the backward operator, which itself cannot be differentiated.
#include <torch/csrc/autograd/custom_function.h>

#include "skipattn/attention/registration.h"

namespace skipattn::attention {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The part of a problem that is not differentiable. (One argument of the autograd functions, so
/// that they need not count the numbers in it.)
struct Settings {
  HeadPairs pairs;
  Options options;
};

class BackwardOnce : public torch::autograd::Function<BackwardOnce> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& grad_output, const at::Tensor& query,
                               at::TensorList sources, at::TensorList saved, const Settings& settings) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    Gradients gradients =
        call_backward({query, sources.vec(), settings.pairs, settings.options}, {grad_output, saved[0], saved[1]});
    variable_list all = {gradients.query};
    all.insert(all.end(), gradients.sources.begin(), gradients.sources.end());
    return all;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    TORCH_CHECK_NOT_IMPLEMENTED(false,
                                "routed_attention: double backward (the gradient of its gradient) is not "
                                "supported; routed_attention_reference can be differentiated again");
  }
};

class RoutedAttention : public torch::autograd::Function<RoutedAttention> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& query, at::TensorList sources,
                               const Settings& settings) {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    Result result = call_forward({query, sources.vec(), settings.pairs, settings.options});
    variable_list saved = {query, result.output, result.logsumexp};
    saved.insert(saved.end(), sources.begin(), sources.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["routes"] = flatten_pairs(settings.pairs).routes;
    ctx->saved_data["route_offsets"] = flatten_pairs(settings.pairs).offsets;
    const Options& options = settings.options;
    ctx->saved_data["causal"] = options.causal;
    ctx->saved_data["scale"] = options.scale;
    ctx->saved_data["first_key"] = options.first_key;
    ctx->saved_data["dropout_p"] = options.dropout_p;
    ctx->saved_data["dropout_seed"] = options.dropout_seed;
    ctx->mark_non_differentiable({result.logsumexp});
    return {result.output, result.logsumexp};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    auto& data = ctx->saved_data;
    const Settings settings{
        unflatten_pairs(data["routes"].toIntVector(), data["route_offsets"].toIntVector()),
        {data["causal"].toBool(), data["scale"].toOptional<double>(), data["first_key"].toOptional<at::Tensor>(),
         data["dropout_p"].toDouble(), data["dropout_seed"].toInt()}};
    const std::vector<at::Tensor> sources(saved.begin() + 3, saved.end());
    Gradients gradients =
        call_backward({saved[0], sources, settings.pairs, settings.options}, {grads[0], saved[1], saved[2]});
    variable_list all = {gradients.query};
    all.insert(all.end(), gradients.sources.begin(), gradients.sources.end());
    all.emplace_back();  // settings
    return all;
  }
};

Result autograd_forward(const Problem& problem) {
  const variable_list result =
      RoutedAttention::apply(problem.query, at::TensorList(problem.sources), Settings{problem.pairs, problem.options});
  return {result[0], result[1]};
}

Gradients autograd_backward(const Problem& problem, const BackwardInput& input) {
  const variable_list all =
      BackwardOnce::apply(input.grad_output, problem.query, at::TensorList(problem.sources),
                          at::TensorList({input.output, input.logsumexp}), Settings{problem.pairs, problem.options});
  return {all[0], {all.begin() + 1, all.end()}};
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, Autograd, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<autograd_forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<autograd_backward>)));
}

}  // namespace skipattn::attention
