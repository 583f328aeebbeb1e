// The one place where the CPU chooses among its implementations.
#include "skipattn/attention/cpu/fused.h"
#include "skipattn/attention/cpu/level.h"
#include "skipattn/attention/reference.h"
#include "skipattn/attention/registration.h"

namespace skipattn::attention::cpu {
namespace {

Result forward(const Problem& problem) {
  switch (choose_level()) {
    case Level::kReference:
      return reference_forward(problem);
    case Level::kTorch:
      break;
  }
  check_problem(problem);
  return fused_forward(problem);
}

Gradients backward(const Problem& problem, const BackwardInput& input) {
  switch (choose_level()) {
    case Level::kReference:
      return reference_backward(problem, input);
    case Level::kTorch:
      break;
  }
  check_problem(problem);
  check_backward_input(problem, input);
  return fused_backward(problem, input);
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, CPU, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<backward>)));
}

}  // namespace skipattn::attention::cpu
