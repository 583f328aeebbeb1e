#include "skipattn/training/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace skipattn::training {

namespace {

using fused::StepNumbers;
using fused::StepResult;
using fused::UpdateChunk;
using fused::UpdateSlot;

/// Whether elements of this tensor may be read four at a time.
bool lies_in_fours(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % (4 * tensor.element_size()) == 0;
}

UpdateSlot slot_of(const AdamWSlot& slot, const at::Tensor& gradient) {
  bool packed = true;
  for (const at::Tensor& tensor : {slot.master, slot.compute, slot.first_moment, slot.second_moment, gradient}) {
    TORCH_INTERNAL_ASSERT(tensor.is_contiguous() && tensor.numel() == slot.master.numel());
    packed = packed && lies_in_fours(tensor);
  }
  return {.master = slot.master.data_ptr<float>(),
          .compute = slot.compute.data_ptr(),
          .first_moment = slot.first_moment.data_ptr<float>(),
          .second_moment = slot.second_moment.data_ptr<float>(),
          .gradient = gradient.const_data_ptr(),
          .count = slot.master.numel(),
          .compute_is_bf16 = slot.compute.scalar_type() == at::kBFloat16,
          .gradient_is_bf16 = gradient.scalar_type() == at::kBFloat16,
          .decays = slot.decays,
          .packed = packed};
}

std::vector<UpdateChunk> cut(const std::vector<UpdateSlot>& slots) {
  std::vector<UpdateChunk> chunks;
  for (size_t i = 0; i < slots.size(); ++i)
    for (int64_t begin = 0; begin < slots[i].count; begin += fused::kUpdateChunk)
      chunks.push_back({static_cast<int64_t>(i), begin});
  return chunks;
}

/// The bytes of a list of structs, as a tensor on the device.
template <typename T>
at::Tensor bytes_of(std::vector<T>& structs, at::Device device) {
  const auto bytes = static_cast<int64_t>(structs.size() * sizeof(T));
  return at::from_blob(structs.data(), {bytes}, at::kByte).to(device, at::kByte, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

ParameterUpdate::ParameterUpdate(std::vector<AdamWSlot> slots, std::vector<at::Tensor> gradients,
                                 const AdamWOptions& options)
    : slots_(std::move(slots)), gradients_(std::move(gradients)), options_(options) {
  const at::Device device = slots_.at(0).master.device();
  std::vector<UpdateSlot> structs;
  for (size_t i = 0; i < slots_.size(); ++i) structs.push_back(slot_of(slots_[i], gradients_.at(i)));
  std::vector<UpdateChunk> chunks = cut(structs);
  const auto bytes = at::TensorOptions(at::kByte), doubles = at::TensorOptions(at::kDouble).device(device);
  table_.slots = bytes_of(structs, device);
  table_.chunks = bytes_of(chunks, device);
  table_.chunk_count = static_cast<int64_t>(chunks.size());
  table_.sums = at::empty({table_.chunk_count}, doubles);
  table_.numbers = at::empty({sizeof(StepNumbers)}, bytes.device(device));
  table_.result = at::zeros({sizeof(StepResult) / sizeof(double)}, doubles);
  staging_ = device.is_cuda() ? at::empty({sizeof(StepNumbers)}, bytes.pinned_memory(true)) : table_.numbers;
}

void ParameterUpdate::prepare(int64_t step, double learning_rate) {
  const double correction1 = 1.0 - std::pow(options_.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options_.beta2, static_cast<double>(step));
  const StepNumbers numbers = {.beta1 = static_cast<float>(options_.beta1),
                               .beta2 = static_cast<float>(options_.beta2),
                               .epsilon = static_cast<float>(options_.epsilon),
                               .step_size = static_cast<float>(learning_rate / correction1),
                               .inverse_root_correction2 = static_cast<float>(1.0 / std::sqrt(correction2)),
                               .shrink = static_cast<float>(1.0 - learning_rate * options_.weight_decay),
                               .grad_clip = static_cast<float>(options_.grad_clip)};
  std::memcpy(staging_.data_ptr(), &numbers, sizeof(numbers));
  if (!staging_.is_same(table_.numbers)) table_.numbers.copy_(staging_, /*non_blocking=*/true);
}

void ParameterUpdate::run(const at::Tensor& loss) {
  table_.result.select(0, 0).copy_(loss);
  fused::measure_gradients(table_);
  fused::update_parameters(table_);
}

StepResult ParameterUpdate::read() const {
  StepResult result;
  const at::Tensor here = table_.result.to(at::kCPU);
  std::memcpy(&result, here.const_data_ptr(), sizeof(result));
  return result;
}

void adamw_step_reference(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate,
                          int64_t step, const AdamWOptions& options) {
  const at::Tensor g = gradient.to(at::kFloat) * gradient_scale;
  slot.first_moment.mul_(options.beta1).add_(g, 1.0 - options.beta1);
  slot.second_moment.mul_(options.beta2).addcmul_(g, g, 1.0 - options.beta2);
  const at::Tensor first = slot.first_moment / (1.0 - std::pow(options.beta1, static_cast<double>(step)));
  const at::Tensor second = slot.second_moment / (1.0 - std::pow(options.beta2, static_cast<double>(step)));
  if (slot.decays) slot.master.mul_(1.0 - learning_rate * options.weight_decay);
  slot.master.sub_(first / (second.sqrt() + options.epsilon) * learning_rate);
  slot.compute.copy_(slot.master);
}

}  // namespace skipattn::training
