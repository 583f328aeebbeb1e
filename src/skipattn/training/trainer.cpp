#include "skipattn/training/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "skipattn/attention/cuda/choice.h"
#include "skipattn/core/environment.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/operation_timer.h"
#include "skipattn/core/random.h"
#include "skipattn/io/safetensors.h"
#include "skipattn/model/arena.h"
#include "skipattn/model/tensor_file.h"
#include "skipattn/training/fused/kernels.h"
#include "skipattn/training/loss.h"

namespace skipattn::training {

Trainer::Trainer(model::Decoder& decoder, const TrainingConfig& config, const Machine& machine)
    : decoder_(decoder),
      config_(config),
      machine_(machine),
      batch_(machine.device, config.micro_batch_size),
      graph_(config.dropout == 0 ? model::make_graph_recorder(machine.device) : nullptr) {
  optimizer_ = {.beta1 = config.beta1,
                .beta2 = config.beta2,
                .epsilon = config.epsilon,
                .weight_decay = config.weight_decay,
                .grad_clip = config.grad_clip};
  loss_ = at::zeros({}, at::TensorOptions(at::kDouble).device(machine.device));
  make_slots();
  if (environment_says("SKIPATTN_STEP", "fused", "plain") && model::TrainingPass::serves(decoder) &&
      fused::has_kernels(machine.device)) {
    make_fused_step();
  } else {
    gradients_.resize(slots_.size());
    for (const AdamWSlot& slot : slots_) slot.compute.set_requires_grad(true);
  }
}

/// Zeros for every parameter, with the vocabulary head's padding.
std::vector<at::Tensor> Trainer::zeros(at::ScalarType dtype) const {
  std::vector<std::vector<int64_t>> shapes;
  for (const auto& spec : decoder_.table().specs) shapes.push_back(spec.shape());
  int64_t& rows = shapes[decoder_.table().head][0];
  rows = (rows + machine_.vocabulary_multiple - 1) / machine_.vocabulary_multiple * machine_.vocabulary_multiple;
  return model::zeros_together(shapes, dtype, machine_.device);
}

/// One of zeros() without padding.
at::Tensor Trainer::rows_of_tokens(int index, const at::Tensor& padded) const {
  const int64_t rows = decoder_.table().specs[index].shape()[0];
  return padded.size(0) == rows ? padded : padded.narrow(0, 0, rows);
}

void Trainer::make_slots() {
  const auto& specs = decoder_.table().specs;
  const std::vector<at::Tensor> masters = zeros(at::kFloat), first = zeros(at::kFloat), second = zeros(at::kFloat);
  const std::vector<at::Tensor> copies = machine_.dtype == at::kFloat ? masters : zeros(machine_.dtype);
  head_ = copies[decoder_.table().head];
  for (int i = 0; i < static_cast<int>(specs.size()); ++i) {
    AdamWSlot slot;
    slot.master = rows_of_tokens(i, masters[i]);
    slot.master.copy_(decoder_.parameters()[i]);
    const bool is_copy = machine_.dtype != at::kFloat && !specs[i].is_norm;
    slot.compute = is_copy ? rows_of_tokens(i, copies[i]) : slot.master;
    if (is_copy) slot.compute.copy_(slot.master);
    slot.first_moment = rows_of_tokens(i, first[i]);
    slot.second_moment = rows_of_tokens(i, second[i]);
    slot.decays = specs[i].decays;
    decoder_.set_parameter(i, slot.compute);
    slots_.push_back(std::move(slot));
  }
}

void Trainer::make_fused_step() {
  fused_ = std::make_unique<model::TrainingPass>(decoder_);
  gradients_ = zeros(at::kFloat);
  const int head = decoder_.table().head;
  head_gradient_ = gradients_[head];
  gradients_[head] = rows_of_tokens(head, head_gradient_);
  update_ = std::make_unique<ParameterUpdate>(slots_, gradients_, optimizer_);
}

std::string Trainer::kind() const {
  if (!fused_) return "plain";
  if (graph_.replays()) return "CUDA graph";
  return graph_.failure().empty() ? "fused" : "fused, no CUDA graph: " + graph_.failure();
}

std::string Trainer::description() const {
  if (!machine_.device.is_cuda()) return "";
  const std::string attention = attention::cuda::device_choice().summary();
  return attention.empty() ? kind() : kind() + ", attention " + attention;
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

uint64_t Trainer::dropout_seed(int64_t step, int64_t number) const {
  return derive_seed(config_.seed, fmt::format("dropout {} {}", step, number));
}

fused::StepResult Trainer::plain_step(int64_t step, double learning_rate) {
  loss_.zero_();
  for (int64_t i = 0; i < micro_steps(); ++i) plain_micro_step(i, dropout_seed(step, i));
  const c10::NoGradGuard no_grad;
  const OperationTimer timer("optimizer");
  ParameterUpdate update(slots_, gradients_, optimizer_);  // the gradients are others every time
  for (at::Tensor& gradient : gradients_) gradient.reset();
  update.prepare(step, learning_rate);
  update.run(loss_);
  return update.read();
}

void Trainer::plain_micro_step(int64_t number, uint64_t dropout_seed) {
  model::ForwardOptions options;
  options.dropout = config_.dropout;
  options.dropout_seed = dropout_seed;
  options.recompute = config_.recompute;
  const at::Tensor hidden = decoder_.hidden_states(batch_.input(number), options);
  const at::Tensor loss =
      cross_entropy(hidden.view({-1, hidden.size(-1)}), decoder_.head_weight(), batch_.targets(number)) /
      static_cast<double>(micro_steps());
  loss.backward();
  add_gradients(number == 0);
  loss_.add_(loss.detach());
}

/// What a graph records: all of a step's work on the device.
void Trainer::run_fused(int64_t step) {
  loss_.zero_();
  for (int64_t i = 0; i < micro_steps(); ++i) fused_micro_step(i, dropout_seed(step, i));
  const OperationTimer timer("optimizer");
  update_->run(loss_);
}

fused::StepResult Trainer::fused_step(int64_t step, double learning_rate) {
  const c10::NoGradGuard no_grad;
  update_->prepare(step, learning_rate);
  graph_.run([&] { run_fused(step); });
  return update_->read();
}

void Trainer::fused_micro_step(int64_t number, uint64_t dropout_seed) {
  const model::Input input = batch_.input(number);
  fused_->prepare({.batch = config_.micro_batch_size,
                   .length = input.tokens.size(1),
                   .recompute = config_.recompute,
                   .loss_bytes = loss_scratch_bytes(input.tokens.numel(), head_.size(0), head_.options())});
  const at::Tensor& hidden = fused_->forward(input, {.dropout = config_.dropout, .dropout_seed = dropout_seed});
  const double share = 1.0 / static_cast<double>(micro_steps());
  const at::Tensor loss = loss_and_gradients(hidden, head_, batch_.targets(number),
                                             {.hidden = fused_->hidden_gradient(),
                                              .weight = head_gradient_,
                                              .add = number > 0,
                                              .scale = share,
                                              .vocabulary = decoder_.config().vocabulary,
                                              .scratch = fused_->loss_scratch()});
  fused_->backward({.tensors = gradients_, .add = number > 0});
  loss_.add_(loss, share);
}

StepOutcome Trainer::step(const data::Batch& batch, int64_t step) {
  const double learning_rate = learning_rate_schedule(config_).at(step);
  if (batch_.fill(batch)) graph_.forget();
  const fused::StepResult result = fused_ ? fused_step(step, learning_rate) : plain_step(step, learning_rate);
  return {
      .loss = result.loss, .grad_norm = result.norm, .learning_rate = learning_rate, .skipped = result.skipped != 0};
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
