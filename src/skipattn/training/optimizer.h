// AdamW (Loshchilov & Hutter 2019) with fp32 master weights, in one pass over memory per parameter.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace skipattn::training {

struct AdamWOptions {
  double beta1 = 0.9;         ///< [0, 1)
  double beta2 = 0.95;        ///< [0, 1)
  double epsilon = 1e-8;      ///< added to the root of the second moment
  double weight_decay = 0.1;  ///< decoupled: weights shrink by learning rate * this, where the parameter decays
};

/// One parameter's state. `compute` is what the model multiplies with: the master itself, or a bf16 copy of it.
struct AdamWSlot {
  at::Tensor master;         ///< fp32, contiguous
  at::Tensor compute;        ///< same shape
  at::Tensor first_moment;   ///< fp32
  at::Tensor second_moment;  ///< fp32
  bool decays = false;
};

/// Step `step` (from 1) with gradient `gradient * gradient_scale` (fp32 or bf16, contiguous): updates master and moments,
/// and refreshes the compute copy. Element-wise, so equal for any number of threads.
void adamw_step(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate, int64_t step,
                const AdamWOptions& options);

/// The same in plain torch operations, which defines it.
void adamw_step_reference(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate,
                          int64_t step, const AdamWOptions& options);

/// Square root of the sum of squares of all gradients, summed in fp64 in a fixed order: equal for any thread count.
double global_norm(const std::vector<at::Tensor>& gradients);

}  // namespace skipattn::training
