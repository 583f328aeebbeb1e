// Shapes, dtypes and strides without data: meta tensors, and torch.compile with symbolic sizes.
#include "skipattn/attention/registration.h"

namespace skipattn::attention {
namespace {

bool has_symbolic_sizes(const Problem& problem) {
  const auto symbolic = [](const at::Tensor& tensor) {
    return tensor.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
  };
  for (const at::Tensor& source : problem.sources) {
    if (symbolic(source)) return true;
  }
  return symbolic(problem.query) || (problem.options.first_key && symbolic(*problem.options.first_key));
}

Result meta_forward(const Problem& problem) {
  if (!has_symbolic_sizes(problem)) check_problem(problem);
  const auto sizes = problem.query.sym_sizes();
  const auto options = problem.query.options();
  return {empty_heads_inner(sizes, options),
          at::empty_symint(sizes.slice(0, 3), options.dtype(problem.accumulate_dtype()))};
}

Gradients meta_backward(const Problem& problem, const BackwardInput& input) {
  if (!has_symbolic_sizes(problem)) check_problem(problem);
  Gradients gradients{empty_heads_inner(problem.query.sym_sizes(), problem.query.options()), {}};
  for (const at::Tensor& source : problem.sources) {
    gradients.sources.push_back(empty_heads_inner(source.sym_sizes(), source.options()));
  }
  return gradients;
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, Meta, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<meta_forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<meta_backward>)));
}

}  // namespace skipattn::attention
