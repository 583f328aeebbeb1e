#include "skipattn/training/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "skipattn/training/cpu/adamw.h"

namespace skipattn::training {

namespace {

constexpr int64_t kBlock = 16384;  // elements a thread takes at once; also the unit of the norm's partial sums

double sum_of_squares(const at::Tensor& gradient) {
  const int64_t count = gradient.numel(), blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> partial(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = b * kBlock, size = std::min(kBlock, count - from);
      partial[b] = gradient.scalar_type() == at::kBFloat16
                       ? cpu::sum_of_squares(static_cast<const Bf16*>(gradient.const_data_ptr()) + from, size)
                       : cpu::sum_of_squares(gradient.const_data_ptr<float>() + from, size);
    }
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

}  // namespace

void adamw_step(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate, int64_t step,
                const AdamWOptions& options) {
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(step));
  cpu::AdamWFactors factors;
  factors.gradient_scale = static_cast<float>(gradient_scale);
  factors.beta1 = static_cast<float>(options.beta1);
  factors.beta2 = static_cast<float>(options.beta2);
  factors.step_size = static_cast<float>(learning_rate / correction1);
  factors.inverse_root_correction2 = static_cast<float>(1.0 / std::sqrt(correction2));
  factors.epsilon = static_cast<float>(options.epsilon);
  factors.shrink = static_cast<float>(slot.decays ? 1.0 - learning_rate * options.weight_decay : 1.0);
  const cpu::AdamWRange range = {
      slot.master.data_ptr<float>(),          slot.compute.data_ptr(),   slot.first_moment.data_ptr<float>(),
      slot.second_moment.data_ptr<float>(),   gradient.const_data_ptr(), slot.compute.scalar_type() == at::kBFloat16,
      gradient.scalar_type() == at::kBFloat16};
  at::parallel_for(0, slot.master.numel(), kBlock,
                   [&](int64_t begin, int64_t end) { cpu::update_range(range, begin, end, factors); });
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

double global_norm(const std::vector<at::Tensor>& gradients) {
  double sum = 0;
  for (const at::Tensor& gradient : gradients) sum += sum_of_squares(gradient.contiguous());
  return std::sqrt(sum);
}

}  // namespace skipattn::training
