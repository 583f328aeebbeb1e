// The operator on a CUDA device. Where torch has no CUDA the key is never met.
#include <c10/core/DeviceGuard.h>

#include "skipattn/attention/cuda/routed.h"
#include "skipattn/attention/registration.h"

namespace skipattn::attention::cuda {
namespace {

Result forward(const Problem& problem) {
  check_problem(problem);
  const c10::DeviceGuard device(problem.query.device());
  return routed_forward(with_dense_rows(problem), device_choice(), nullptr);
}

Gradients backward(const Problem& problem, const BackwardInput& input) {
  check_problem(problem);
  check_backward_input(problem, input);
  const c10::DeviceGuard device(problem.query.device());
  return routed_backward(with_dense_rows(problem), input, device_choice(), nullptr,
                         {.sources = std::vector<GradientTarget>(problem.sources.size())});
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, CUDA, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<backward>)));
}

}  // namespace skipattn::attention::cuda
