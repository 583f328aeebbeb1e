#include "skipattn/analysis/gemm_rate.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <chrono>

#include "skipattn/analysis/device_wait.h"
#include "skipattn/analysis/spread.h"
#include "skipattn/model/matmul.h"

namespace skipattn::analysis {

namespace {

using Clock = std::chrono::steady_clock;

/// The shortest time that one sample takes, so that the clock's steps do not show.
constexpr double kShortestSample = 2e-3;

/// A card is given so many to do before it is waited for, so that starting them does not show.
constexpr int kProductsAtOnce = 16;

at::Tensor first_as(const at::Tensor& flat, int64_t rows, int64_t columns) {
  return flat.narrow(0, 0, rows * columns).view({rows, columns});
}

}  // namespace

std::vector<LinearShape> linear_shapes(const model::ModelConfig& config, const routing::Plan& plan, int64_t rows) {
  const int64_t attended = config.heads * config.head_width;
  const int64_t up = config.mlp_width * (config.is_llama() ? 2 : 1);  // gate and up are one product
  std::vector<LinearShape> shapes = {
      {rows, attended, config.width}, {rows, config.width, up}, {rows, config.mlp_width, config.width}};
  for (const routing::LayerPlan& layer : plan.layers) {
    const auto live = static_cast<int64_t>(layer.live_keys.size() + layer.live_values.size());
    const LinearShape projection = {rows, config.width, attended + live * config.head_width};
    if (std::find(shapes.begin(), shapes.end(), projection) == shapes.end()) shapes.push_back(projection);
  }
  return shapes;
}

GemmMeter::GemmMeter(std::vector<LinearShape> shapes, at::ScalarType dtype, at::Device device) : device_(device) {
  const c10::NoGradGuard no_grad;
  int64_t input = 0, weight = 0, output = 0;
  for (const LinearShape& shape : shapes) {
    input = std::max(input, shape.rows * shape.inputs);
    weight = std::max(weight, shape.inputs * shape.outputs);
    output = std::max(output, shape.rows * shape.outputs);
  }
  const auto options = at::TensorOptions(dtype).device(device);
  input_ = at::randn({input}, options);
  weight_ = at::randn({weight}, options);
  output_ = at::zeros({output}, options);
  for (const LinearShape& shape : shapes) add_candidates(shape);
  for (const Candidate& candidate : candidates_) candidate.product();
}

void GemmMeter::add_candidates(const LinearShape& shape) {
  const at::Tensor input = first_as(input_, shape.rows, shape.inputs);
  const at::Tensor weight = first_as(weight_, shape.outputs, shape.inputs);
  at::Tensor output = first_as(output_, shape.rows, shape.outputs);
  candidates_.push_back({shape, [=]() mutable { at::mm_out(output, input, weight.t()); }, {}});
  // What the model itself calls: torch takes MKL for fp32, the model what is fast here.
  candidates_.push_back({shape, [=] { model::linear_forward(output, input, weight, {}); }, {}});
}

void GemmMeter::sample() {
  const c10::NoGradGuard no_grad;
  const int products_at_once = device_.is_cpu() ? 1 : kProductsAtOnce;
  wait_for(device_);
  for (Candidate& candidate : candidates_) {
    const Clock::time_point begin = Clock::now();
    double seconds = 0;
    int64_t count = 0;
    do {
      for (int i = 0; i < products_at_once; ++i) candidate.product();
      wait_for(device_);
      count += products_at_once;
      seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    } while (seconds < kShortestSample);
    candidate.rates.push_back(static_cast<double>(count) * candidate.shape.flops() / seconds);
  }
}

const GemmMeter::Candidate& GemmMeter::best() const {
  return *std::max_element(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return spread_of(a.rates).median < spread_of(b.rates).median;
  });
}

double GemmMeter::peak() const {
  return spread_of(best().rates).median;
}

LinearShape GemmMeter::best_shape() const {
  return best().shape;
}

int64_t GemmMeter::bytes() const {
  return static_cast<int64_t>(input_.nbytes() + weight_.nbytes() + output_.nbytes());
}

}  // namespace skipattn::analysis
