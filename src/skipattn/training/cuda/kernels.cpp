// From tensors to the plain pointers that kernel files know.
#include "skipattn/training/fused/kernels.h"

#include <ATen/ATen.h>

#include "skipattn/core/cuda/stream.h"
#include "skipattn/core/cuda/tensor.h"
#include "skipattn/training/cuda/parameter_update.h"
#include "skipattn/training/cuda/softmax_loss.h"

namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::current_stream;
using skipattn::cuda::is_bf16;
using skipattn::cuda::pointer;

void softmax_loss(const fused::SoftmaxLoss& call) {
  const at::Tensor& logits = call.logits;
  TORCH_INTERNAL_ASSERT(logits.is_contiguous() && call.vocabulary <= logits.size(1));
  softmax_loss_rows({.logits = pointer(logits),
                     .targets = pointer<int64_t>(call.targets),
                     .losses = pointer<float>(call.losses),
                     .gradient_scale = pointer<float>(call.gradient_scale),
                     .rows = logits.size(0),
                     .vocabulary = call.vocabulary,
                     .stride = logits.size(1),
                     .bf16 = is_bf16(logits)},
                    current_stream(logits.device()));
}

UpdatePointers pointers(const fused::UpdateTable& table) {
  return {.slots = pointer<fused::UpdateSlot>(table.slots),
          .chunks = pointer<fused::UpdateChunk>(table.chunks),
          .chunk_count = table.chunk_count,
          .sums = pointer<double>(table.sums),
          .numbers = pointer<fused::StepNumbers>(table.numbers),
          .result = pointer<fused::StepResult>(table.result)};
}

void measure_gradients(const fused::UpdateTable& table) {
  measure_all(pointers(table), current_stream(table.result.device()));
}

void update_parameters(const fused::UpdateTable& table) {
  update_all(pointers(table), current_stream(table.result.device()));
}

}  // namespace

const fused::Kernels* kernels() {
  static constexpr fused::Kernels table = {
      .softmax_loss = softmax_loss, .measure_gradients = measure_gradients, .update_parameters = update_parameters};
  return &table;
}

}  // namespace skipattn::training::SKIPATTN_CUDA_NAMESPACE
