#include "skipattn/training/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace skipattn::training {

namespace {

constexpr int64_t kBlock = 16384;  // elements a thread takes at once; also the unit of the norm's partial sums

/// Everything one element's update needs, already combined per step.
struct Factors {
  float gradient_scale, beta1, beta2, step_size, inverse_root_correction2, epsilon, shrink;
};

template <typename Gradient, typename Compute>
void update_range(float* master, Compute* compute, float* m, float* v, const Gradient* gradient, int64_t count,
                  const Factors& f) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = static_cast<float>(gradient[i]) * f.gradient_scale;
    const float first = f.beta1 * m[i] + (1.0f - f.beta1) * g;
    const float second = f.beta2 * v[i] + (1.0f - f.beta2) * g * g;
    const float weight =
        master[i] * f.shrink - f.step_size * first / (std::sqrt(second) * f.inverse_root_correction2 + f.epsilon);
    m[i] = first;
    v[i] = second;
    master[i] = weight;
    // Where master and compute are one tensor this writes the same value again.
    compute[i] = static_cast<Compute>(weight);
  }
}

template <typename Gradient, typename Compute>
void update_all(AdamWSlot& slot, const at::Tensor& gradient, const Factors& factors) {
  float* master = slot.master.data_ptr<float>();
  auto* compute = slot.compute.data_ptr<Compute>();
  float* m = slot.first_moment.data_ptr<float>();
  float* v = slot.second_moment.data_ptr<float>();
  const auto* g = gradient.const_data_ptr<Gradient>();
  at::parallel_for(0, slot.master.numel(), kBlock, [&](int64_t begin, int64_t end) {
    update_range(master + begin, compute + begin, m + begin, v + begin, g + begin, end - begin, factors);
  });
}

template <typename Gradient>
double block_sum_of_squares(const Gradient* data, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = static_cast<float>(data[i]);
    sum += value * value;
  }
  return sum;
}

double sum_of_squares(const at::Tensor& gradient) {
  const int64_t count = gradient.numel(), blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> partial(blocks);
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t from = b * kBlock, size = std::min(kBlock, count - from);
      partial[b] = gradient.scalar_type() == at::kBFloat16
                       ? block_sum_of_squares(gradient.const_data_ptr<at::BFloat16>() + from, size)
                       : block_sum_of_squares(gradient.const_data_ptr<float>() + from, size);
    }
  });
  return std::accumulate(partial.begin(), partial.end(), 0.0);
}

}  // namespace

void adamw_step(AdamWSlot& slot, const at::Tensor& gradient, double gradient_scale, double learning_rate, int64_t step,
                const AdamWOptions& options) {
  const double correction1 = 1.0 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1.0 - std::pow(options.beta2, static_cast<double>(step));
  Factors factors;
  factors.gradient_scale = static_cast<float>(gradient_scale);
  factors.beta1 = static_cast<float>(options.beta1);
  factors.beta2 = static_cast<float>(options.beta2);
  factors.step_size = static_cast<float>(learning_rate / correction1);
  factors.inverse_root_correction2 = static_cast<float>(1.0 / std::sqrt(correction2));
  factors.epsilon = static_cast<float>(options.epsilon);
  factors.shrink = static_cast<float>(slot.decays ? 1.0 - learning_rate * options.weight_decay : 1.0);
  const bool bf16_gradient = gradient.scalar_type() == at::kBFloat16;
  if (slot.compute.scalar_type() == at::kBFloat16) {
    bf16_gradient ? update_all<at::BFloat16, at::BFloat16>(slot, gradient, factors)
                  : update_all<float, at::BFloat16>(slot, gradient, factors);
  } else {
    bf16_gradient ? update_all<at::BFloat16, float>(slot, gradient, factors)
                  : update_all<float, float>(slot, gradient, factors);
  }
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
