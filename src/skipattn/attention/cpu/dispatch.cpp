// The one place where the CPU chooses among its implementations.
#include "skipattn/attention/cpu/flash.h"
#include "skipattn/attention/cpu/fused.h"
#include "skipattn/attention/cpu/level.h"
#include "skipattn/attention/reference.h"
#include "skipattn/attention/registration.h"

namespace skipattn::attention::cpu {
namespace {

Result forward(const Problem& problem) {
  const Level level = choose_level();
  if (level == Level::kReference) return reference_forward(problem);
  check_problem(problem);
  const KernelTable* kernels = choose_kernels(level, problem.query.scalar_type(), problem.head_width());
  if (kernels == nullptr) return fused_forward(problem);
  const auto sizes = problem.query.sizes();
  const Result result{pooled_heads_inner(sizes, problem.query.options()),
                      at::empty(sizes.slice(0, 3), problem.query.options().dtype(at::kFloat))};
  flash_forward(with_dense_rows(problem), *kernels, {}, result);
  return result;
}

/// Which heads of a source no pair reads: their gradient is zero.
void zero_unread(const Problem& problem, std::vector<SourceGradient>& sources) {
  std::vector<std::vector<bool>> read(problem.sources.size());
  for (size_t i = 0; i < read.size(); ++i) read[i].resize(problem.sources[i].size(1));
  for (const auto& list : problem.pairs)
    for (const Pair& pair : list)
      read[pair.key_tensor][pair.key_head] = read[pair.value_tensor][pair.value_head] = true;
  for (size_t i = 0; i < read.size(); ++i)
    for (size_t head = 0; head < read[i].size(); ++head)
      if (!read[i][head]) sources[i].out.select(1, static_cast<int64_t>(head)).zero_();
}

Gradients backward(const Problem& problem, const BackwardInput& input) {
  const Level level = choose_level();
  if (level == Level::kReference) return reference_backward(problem, input);
  check_problem(problem);
  check_backward_input(problem, input);
  const KernelTable* kernels = choose_kernels(level, problem.query.scalar_type(), problem.head_width());
  if (kernels == nullptr) return fused_backward(problem, input);
  FlashBackward call;
  call.grad_output = with_dense_rows(input.grad_output);
  call.output = with_dense_rows(input.output);
  call.logsumexp = input.logsumexp.contiguous();
  call.grad_query = pooled_heads_inner(problem.query.sizes(), problem.query.options());
  Gradients gradients{call.grad_query, {}};
  for (const at::Tensor& source : problem.sources) {
    gradients.sources.push_back(pooled_heads_inner(source.sizes(), source.options()));
    call.sources.push_back({gradients.sources.back()});
  }
  zero_unread(problem, call.sources);
  if (problem.query.numel() == 0) {
    for (at::Tensor& gradient : gradients.sources) gradient.zero_();
    return gradients;
  }
  flash_backward(with_dense_rows(problem), *kernels, {}, call);
  return gradients;
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, CPU, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<forward>)));
  m.impl("routed_attention_backward", TORCH_FN((backward_kernel<backward>)));
}

}  // namespace skipattn::attention::cpu
