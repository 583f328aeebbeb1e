// Trainer: one optimizer update at a time. Holds the fp32 master weights, the moments and the gradients; the decoder
// holds what the forward pass multiplies with (the masters themselves in fp32, bf16 copies otherwise).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "skipattn/model/decoder.h"
#include "skipattn/model/step_graph.h"
#include "skipattn/model/training_pass.h"
#include "skipattn/training/batch_buffers.h"
#include "skipattn/training/machine.h"
#include "skipattn/training/optimizer.h"
#include "skipattn/training/run_config.h"

namespace skipattn::training {

/// What one step did.
struct StepOutcome {
  double loss = 0;       ///< mean over the batch, before the update
  double grad_norm = 0;  ///< before clipping
  double learning_rate = 0;
  bool skipped = false;  ///< loss or gradient norm was not finite; nothing was changed
};

/// Where there are fused kernels, in bf16 or fp32, a step runs through the fused pass (model/training_pass.h); elsewhere,
/// and where the environment has SKIPATTN_STEP=plain, through run_layer() and torch's autograd, which define it.
/// On a card the fused step is recorded as a graph (model/step_graph.h), but with dropout, whose seeds change from step to
/// step; and nothing waits for the card until the step's figures are read at its end.
class Trainer {
 public:
  /// Takes over the decoder's parameters (fp32), moves them to the machine's device and dtype.
  Trainer(model::Decoder& decoder, const TrainingConfig& config, const Machine& machine);

  /// Step `step` (from 1) on one batch, micro-batch by micro-batch.
  StepOutcome step(const data::Batch& batch, int64_t step);

  /// fp32 parameters in the table's order.
  std::vector<at::Tensor> masters() const;
  /// The optimizer's moments, to and from folder/trainer.safetensors.
  void save_moments(const std::filesystem::path& file) const;
  void load_moments(const std::filesystem::path& file);

  /// How the last step ran: "plain", "fused", "CUDA graph", or "fused, no CUDA graph: " and why.
  std::string kind() const;
  /// On a card kind() and which implementations of attention were chosen, for people; empty on the CPU.
  std::string description() const;

 private:
  std::vector<at::Tensor> zeros(at::ScalarType dtype) const;
  at::Tensor rows_of_tokens(int index, const at::Tensor& padded) const;
  void make_slots();
  void make_fused_step();
  fused::StepResult plain_step(int64_t step, double learning_rate);
  void plain_micro_step(int64_t number, uint64_t dropout_seed);
  fused::StepResult fused_step(int64_t step, double learning_rate);
  void run_fused(int64_t step);
  void fused_micro_step(int64_t number, uint64_t dropout_seed);
  void add_gradients(bool first);
  int64_t micro_steps() const { return config_.batch_size / config_.micro_batch_size; }
  uint64_t dropout_seed(int64_t step, int64_t number) const;

  model::Decoder& decoder_;
  TrainingConfig config_;
  Machine machine_;
  AdamWOptions optimizer_;
  BatchBuffers batch_;
  std::vector<AdamWSlot> slots_;
  std::vector<at::Tensor> gradients_;           // fp32 with the fused pass, which keeps them from step to step
  at::Tensor loss_;                             // fp64 scalar on the device: the batch's mean so far
  std::unique_ptr<ParameterUpdate> update_;     // fused only
  std::unique_ptr<model::TrainingPass> fused_;  // null: plain
  at::Tensor head_, head_gradient_;             // the vocabulary head with its padding; fused only
  model::StepGraph graph_;
};

}  // namespace skipattn::training
