#include "skipattn/model/attend.h"

#include <ATen/ATen.h>

#include "skipattn/attention/cpu/level.h"
#include "skipattn/model/attend_cuda.h"

namespace skipattn::model {

namespace {

using attention::cpu::KernelTable;

/// Our kernels for these tensors, or null: then the operator serves.
const KernelTable* kernels_for(const at::Tensor& query) {
  return attention::cpu::choose_kernels(attention::cpu::choose_level(), query.scalar_type(), query.size(3));
}

attention::Problem problem_of(const AttentionInput& input) {
  return {input.query, input.sources, *input.pairs, input.options};
}

/// [sources][heads]: whether some pair reads the head.
std::vector<std::vector<char>> read_heads(const AttentionInput& input) {
  std::vector<std::vector<char>> read;
  for (const at::Tensor& source : input.sources) read.emplace_back(source.size(1), 0);
  for (const auto& list : *input.pairs)
    for (const attention::Pair& pair : list)
      read[pair.key_tensor][pair.key_head] = read[pair.value_tensor][pair.value_head] = 1;
  return read;
}

/// Heads that this layer does not read: nothing to add, but sums begin and end with the tensor.
void pass_by_unread(const SourceGradient& target, const std::vector<char>& read) {
  for (size_t head = 0; head < read.size(); ++head) {
    if (read[head]) continue;
    const auto at = [&](const at::Tensor& tensor) { return tensor.select(1, static_cast<int64_t>(head)); };
    const bool begun = target.sum.defined() && !target.first;
    if (target.finished.defined())
      begun ? at(target.finished).copy_(at(target.sum)) : at(target.finished).zero_();
    else if (target.first)
      at(target.sum).zero_();
  }
}

void fused_backward(const AttentionInput& input, const KernelTable& kernels, const std::vector<SourceGradient>& targets,
                    attention::cpu::FlashBackward call) {
  const std::vector<std::vector<char>> read = read_heads(input);
  for (size_t i = 0; i < targets.size(); ++i) {
    const SourceGradient& target = targets[i];
    const size_t heads = read[i].size();
    call.sources.push_back({.out = target.finished, .sum = target.sum});
    if (target.sum.defined() && !target.first) call.sources.back().begun.assign(heads, 1);
    if (!target.finished.defined()) call.sources.back().unfinished.assign(heads, 1);
    pass_by_unread(target, read[i]);
  }
  attention::cpu::flash_backward(problem_of(input), kernels, input.panels, call);
}

void operator_backward(const AttentionInput& input, const std::vector<SourceGradient>& targets,
                       const attention::cpu::FlashBackward& call) {
  const attention::Gradients gradients = attention::routed_attention_backward(
      call.grad_output, input.query, input.sources, *input.pairs, input.options, {call.output, call.logsumexp});
  call.grad_query.copy_(gradients.query);
  for (size_t i = 0; i < targets.size(); ++i) {
    const SourceGradient& target = targets[i];
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

}  // namespace

void attend(const AttentionInput& input, const AttentionOutput& output) {
  if (input.query.is_cuda()) {
    attend_by_calls(input, output, attention::cuda::device_choice());
    return;
  }
  if (const KernelTable* kernels = kernels_for(input.query)) {
    attention::cpu::flash_forward(problem_of(input), *kernels, input.panels,
                                  {output.attended.transpose(1, 2), output.logsumexp});
    return;
  }
  const attention::Result result = attention::routed_attention(input.query, input.sources, *input.pairs, input.options);
  output.attended.copy_(result.output.transpose(1, 2));
  output.logsumexp.copy_(result.logsumexp);
}

void attend_backward(const AttentionInput& input, const AttentionOutput& output, const at::Tensor& attended_gradient,
                     const at::Tensor& query_gradient, const std::vector<SourceGradient>& source_gradients) {
  if (input.query.is_cuda()) {
    attend_backward_by_calls(input, output, attended_gradient, query_gradient, source_gradients,
                             attention::cuda::device_choice());
    return;
  }
  const attention::cpu::FlashBackward call{.grad_output = attended_gradient.transpose(1, 2),
                                           .output = output.attended.transpose(1, 2),
                                           .logsumexp = output.logsumexp,
                                           .grad_query = query_gradient};
  if (const KernelTable* kernels = kernels_for(input.query))
    fused_backward(input, *kernels, source_gradients, call);
  else
    operator_backward(input, source_gradients, call);
}

}  // namespace skipattn::model
