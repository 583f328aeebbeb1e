// Trainer: one optimizer update at a time. Holds the fp32 master weights, the moments and the gradients; the decoder
// holds what the forward pass multiplies with (the masters themselves in fp32, bf16 copies otherwise).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "skipattn/data/loader.h"
#include "skipattn/model/decoder.h"
#include "skipattn/model/training_pass.h"
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

/// On the CPU in bf16 or fp32 a step runs through the fused pass (model/training_pass.h); elsewhere, and where the
/// environment has SKIPATTN_STEP=plain, through run_layer() and torch's autograd, which define it.
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

 private:
  void make_slots();
  std::vector<std::vector<int64_t>> parameter_shapes() const;
  double accumulate_gradients(const data::Batch& batch, int64_t step);
  double plain_micro_step(const data::Batch& batch, int64_t number, uint64_t dropout_seed);
  double fused_micro_step(const data::Batch& batch, int64_t number, uint64_t dropout_seed);
  void add_gradients(bool first);

  model::Decoder& decoder_;
  TrainingConfig config_;
  Machine machine_;
  AdamWOptions optimizer_;
  std::vector<AdamWSlot> slots_;
  std::vector<at::Tensor> gradients_;           // fp32 with the fused pass, which keeps them from step to step
  std::unique_ptr<model::TrainingPass> fused_;  // null: plain
};

/// Rows [begin, begin + count) of a batch as a decoder's input, on `device`.
model::Input to_input(const data::Batch& batch, int64_t begin, int64_t count, at::Device device);
/// Their targets, flat int64 [count * T].
at::Tensor to_targets(const data::Batch& batch, int64_t begin, int64_t count, at::Device device);

}  // namespace skipattn::training
