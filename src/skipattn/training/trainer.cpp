#include "skipattn/training/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string_view>

#include "skipattn/core/errors.h"
#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/io/safetensors.h"
#include "skipattn/model/arena.h"
#include "skipattn/model/tensor_file.h"
#include "skipattn/training/loss.h"

namespace skipattn::training {

namespace {

/// Rows of a flat [B * T] vector as a tensor [count, T].
template <typename T>
at::Tensor rows_of(const std::vector<T>& flat, int64_t begin, int64_t count, int64_t length, at::Device device) {
  at::Tensor tensor = at::empty({count, length}, at::TensorOptions(c10::CppTypeToScalarType<T>::value));
  std::copy_n(flat.begin() + begin * length, count * length, tensor.data_ptr<T>());
  return tensor.to(device);
}

/// The environment may ask for the plain step, to compare with it.
bool wants_fused_step() {
  const char* wanted = std::getenv("SKIPATTN_STEP");
  if (wanted == nullptr || *wanted == '\0' || std::string_view(wanted) == "fused") return true;
  if (std::string_view(wanted) == "plain") return false;
  throw InputError("SKIPATTN_STEP must be 'fused' or 'plain', got '{}'", wanted);
}

}  // namespace

model::Input to_input(const data::Batch& batch, int64_t begin, int64_t count, at::Device device) {
  model::Input input;
  input.tokens = rows_of(batch.tokens, begin, count, batch.context, device);
  if (!batch.positions.empty()) input.positions = rows_of(batch.positions, begin, count, batch.context, device);
  if (!batch.first_key.empty()) input.first_key = rows_of(batch.first_key, begin, count, batch.context, device);
  return input;
}

at::Tensor to_targets(const data::Batch& batch, int64_t begin, int64_t count, at::Device device) {
  return rows_of(batch.targets, begin, count, batch.context, device).view({-1});
}

Trainer::Trainer(model::Decoder& decoder, const TrainingConfig& config, const Machine& machine)
    : decoder_(decoder), config_(config), machine_(machine) {
  optimizer_ = {
      .beta1 = config.beta1, .beta2 = config.beta2, .epsilon = config.epsilon, .weight_decay = config.weight_decay};
  make_slots();
  if (wants_fused_step() && model::TrainingPass::serves(decoder)) {
    fused_ = std::make_unique<model::TrainingPass>(decoder);
    gradients_ = model::zeros_together(parameter_shapes(), at::kFloat);
  } else {
    gradients_.resize(slots_.size());
    for (const AdamWSlot& slot : slots_) slot.compute.set_requires_grad(true);
  }
}

std::vector<std::vector<int64_t>> Trainer::parameter_shapes() const {
  std::vector<std::vector<int64_t>> shapes;
  for (const auto& spec : decoder_.table().specs) shapes.push_back(spec.shape());
  return shapes;
}

void Trainer::make_slots() {
  const auto& specs = decoder_.table().specs;
  const auto zeros = [&](at::ScalarType dtype) {
    std::vector<at::Tensor> tensors;
    if (machine_.device.is_cpu()) return model::zeros_together(parameter_shapes(), dtype);
    for (const auto& shape : parameter_shapes())
      tensors.push_back(at::zeros(shape, at::TensorOptions(dtype).device(machine_.device)));
    return tensors;
  };
  const std::vector<at::Tensor> masters = zeros(at::kFloat), first = zeros(at::kFloat), second = zeros(at::kFloat);
  const std::vector<at::Tensor> copies = machine_.dtype == at::kFloat ? masters : zeros(machine_.dtype);
  for (size_t i = 0; i < specs.size(); ++i) {
    AdamWSlot slot;
    slot.master = masters[i];
    slot.master.copy_(decoder_.parameters()[i]);
    slot.compute = specs[i].is_norm ? masters[i] : copies[i];
    if (!slot.compute.is_same(slot.master)) slot.compute.copy_(slot.master);
    slot.first_moment = first[i];
    slot.second_moment = second[i];
    slot.decays = specs[i].decays;
    decoder_.set_parameter(static_cast<int>(i), slot.compute);
    slots_.push_back(std::move(slot));
  }
}

std::vector<at::Tensor> Trainer::masters() const {
  std::vector<at::Tensor> values;
  for (const AdamWSlot& slot : slots_) values.push_back(slot.master.detach());
  return values;
}

void Trainer::add_gradients(bool first) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    at::Tensor& gradient = slots_[i].compute.mutable_grad();
    if (!gradient.defined()) {  // a weight that nothing reads, such as positions beyond the context's end
      if (first) gradients_[i] = at::zeros_like(slots_[i].master);
      continue;
    }
    // Sums over micro-batches are kept in fp32; a single micro-batch needs no sum.
    if (first) {
      const bool is_sum = config_.micro_batch_size < config_.batch_size;
      gradients_[i] =
          is_sum ? gradient.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous() : gradient.contiguous();
    } else {
      gradients_[i].add_(gradient);
    }
    gradient.reset();
  }
}

double Trainer::accumulate_gradients(const data::Batch& batch, int64_t step) {
  const int64_t micro_steps = config_.batch_size / config_.micro_batch_size;
  double loss = 0;
  for (int64_t i = 0; i < micro_steps; ++i) {
    const uint64_t dropout_seed = derive_seed(config_.seed, fmt::format("dropout {} {}", step, i));
    loss += (fused_ ? fused_micro_step(batch, i, dropout_seed) : plain_micro_step(batch, i, dropout_seed)) /
            static_cast<double>(micro_steps);
  }
  return loss;
}

double Trainer::plain_micro_step(const data::Batch& batch, int64_t number, uint64_t dropout_seed) {
  const int64_t micro = config_.micro_batch_size;
  model::ForwardOptions options;
  options.dropout = config_.dropout;
  options.dropout_seed = dropout_seed;
  options.recompute = config_.recompute;
  const at::Tensor hidden = decoder_.hidden_states(to_input(batch, number * micro, micro, machine_.device), options);
  const at::Tensor loss = cross_entropy(hidden.view({-1, hidden.size(-1)}), decoder_.head_weight(),
                                        to_targets(batch, number * micro, micro, machine_.device));
  (loss / static_cast<double>(config_.batch_size / micro)).backward();
  add_gradients(number == 0);
  return loss.item<double>();
}

double Trainer::fused_micro_step(const data::Batch& batch, int64_t number, uint64_t dropout_seed) {
  const int64_t micro = config_.micro_batch_size, rows = micro * batch.context;
  const at::Tensor& head = decoder_.head_weight();
  fused_->prepare({.batch = micro,
                   .length = batch.context,
                   .recompute = config_.recompute,
                   .loss_bytes = loss_scratch_bytes(rows, head.size(0), head.scalar_type())});
  const at::Tensor& hidden = fused_->forward(to_input(batch, number * micro, micro, machine_.device),
                                             {.dropout = config_.dropout, .dropout_seed = dropout_seed});
  const double loss = loss_and_gradients(hidden, head, to_targets(batch, number * micro, micro, machine_.device),
                                         {.hidden = fused_->hidden_gradient(),
                                          .weight = gradients_[decoder_.table().head],
                                          .add = number > 0,
                                          .scale = static_cast<double>(micro) / static_cast<double>(config_.batch_size),
                                          .scratch = fused_->loss_scratch()});
  fused_->backward({.tensors = gradients_, .add = number > 0});
  return loss;
}

StepOutcome Trainer::step(const data::Batch& batch, int64_t step) {
  StepOutcome outcome;
  outcome.learning_rate = learning_rate_schedule(config_).at(step);
  outcome.loss = accumulate_gradients(batch, step);
  const c10::NoGradGuard no_grad;
  const OperationTimer timer("optimizer");
  outcome.grad_norm = global_norm(gradients_);
  outcome.skipped = !std::isfinite(outcome.loss) || !std::isfinite(outcome.grad_norm);
  if (!outcome.skipped) {
    const double scale = config_.grad_clip > 0 ? std::min(1.0, config_.grad_clip / (outcome.grad_norm + 1e-6)) : 1.0;
    for (size_t i = 0; i < slots_.size(); ++i)
      adamw_step(slots_[i], gradients_[i], scale, outcome.learning_rate, step, optimizer_);
  }
  if (!fused_)
    for (at::Tensor& gradient : gradients_) gradient.reset();
  return outcome;
}

void Trainer::save_moments(const std::filesystem::path& file) const {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto& specs = decoder_.table().specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    tensors.emplace_back(specs[i].name + ".first_moment", slots_[i].first_moment);
    tensors.emplace_back(specs[i].name + ".second_moment", slots_[i].second_moment);
  }
  model::write_tensors(file, tensors);
}

void Trainer::load_moments(const std::filesystem::path& file) {
  const io::SafetensorsFile stored(file);
  const auto& specs = decoder_.table().specs;
  const auto read = [&](const std::string& name, at::Tensor& moment) {
    const at::Tensor value = model::to_tensor(stored.at(name), name);
    if (value.sizes() != moment.sizes())
      throw InputError("'{}': tensor '{}' does not have the model's shape", file.string(), name);
    moment.copy_(value);
  };
  for (size_t i = 0; i < specs.size(); ++i) {
    read(specs[i].name + ".first_moment", slots_[i].first_moment);
    read(specs[i].name + ".second_moment", slots_[i].second_moment);
  }
}

}  // namespace skipattn::training
