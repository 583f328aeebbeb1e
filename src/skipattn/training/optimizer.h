// AdamW (Loshchilov & Hutter 2019) with fp32 master weights, clipping by the global norm included; all parameters at once.
//
//   ParameterUpdate update(slots, gradients, options);    // once, for tensors that stay at their places
//   update.prepare(step, learning_rate);                  // the step's numbers
//   update.run(loss);                                     // on the device, nothing waits; may be recorded
//   const fused::StepResult result = update.read();       // waits for the device
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "skipattn/training/fused/parameter_update.h"

namespace skipattn::training {

struct AdamWOptions {
  double beta1 = 0.9;         ///< [0, 1)
  double beta2 = 0.95;        ///< [0, 1)
  double epsilon = 1e-8;      ///< added to the root of the second moment
  double weight_decay = 0.1;  ///< decoupled: weights shrink by learning rate * this, where the parameter decays
  double grad_clip = 0.0;     ///< largest global norm of the gradients, which shrink to it; 0: no clipping
};

/// One parameter's state. `compute` is what the model multiplies with: the master itself, or a bf16 copy of it.
struct AdamWSlot {
  at::Tensor master;         ///< fp32, contiguous
  at::Tensor compute;        ///< same shape
  at::Tensor first_moment;   ///< fp32
  at::Tensor second_moment;  ///< fp32
  bool decays = false;
};

class ParameterUpdate {
 public:
  /// Keeps the tensors alive. Gradients (fp32 or bf16, contiguous) have their masters' shapes; all lie on one device, which
  /// has fused kernels.
  ParameterUpdate(std::vector<AdamWSlot> slots, std::vector<at::Tensor> gradients, const AdamWOptions& options);

  /// Sets the numbers of step `step` (from 1). Not before the last step has been read.
  void prepare(int64_t step, double learning_rate);

  /// Measures the gradients' norm; unless it or the loss (fp64 scalar on the device) is not finite: updates masters and
  /// moments, and refreshes the compute copies. Results are equal for any number of threads.
  void run(const at::Tensor& loss);

  fused::StepResult read() const;

 private:
  std::vector<AdamWSlot> slots_;
  std::vector<at::Tensor> gradients_;
  AdamWOptions options_;
  fused::UpdateTable table_;
  at::Tensor staging_;  // StepNumbers in memory that the host writes and a card copies from
};

/// One parameter's step with gradient `gradient * gradient_scale` in plain torch operations, which defines it.
void adamw_step_reference(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate,
                          int64_t step, const AdamWOptions& options);

}  // namespace skipattn::training
