// The rate that matrix products reach on this machine, measured in the same run as what is held against it.
//
//   GemmMeter meter(linear_shapes(decoder.config(), decoder.plan(), rows), at::kBFloat16);
//   for (…) { step(); meter.sample(); }     // alternating: both see the same machine
//   meter.peak()                            // FLOP/s of the best shape
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "skipattn/model/config.h"
#include "skipattn/routing/plan.h"

namespace skipattn::analysis {

/// One linear layer: [rows, inputs] times [outputs, inputs]ᵀ.
struct LinearShape {
  int64_t rows = 0;
  int64_t inputs = 0;
  int64_t outputs = 0;
  double flops() const { return 2.0 * static_cast<double>(rows * inputs) * static_cast<double>(outputs); }
  bool operator==(const LinearShape&) const = default;
};

/// Rows beyond this change a product's rate no more on a CPU.
inline constexpr int64_t kMostGemmRows = 4096;

/// The distinct linear layers of a model over `rows` tokens: Q, K and V together, the attention's output, and the MLP.
/// `config` resolved.
std::vector<LinearShape> linear_shapes(const model::ModelConfig& config, const routing::Plan& plan, int64_t rows);

/// What a card's rate is taken from besides the model's layers, which may be too narrow for it.
inline constexpr LinearShape kLargeShape = {8192, 8192, 8192};

/// Times the same few products again and again, over buffers of its own that are never given back meanwhile.
class GemmMeter {
 public:
  /// Takes the buffers and runs every shape once, untimed. dtype fp32 or bf16.
  GemmMeter(std::vector<LinearShape> shapes, at::ScalarType dtype, at::Device device = at::kCPU);

  /// Times every shape once more (as often as a clock needs when they are small).
  void sample();

  /// FLOP/s of the best shape (median over the samples) and which that is; call sample() before.
  double peak() const;
  LinearShape best_shape() const;

  /// Bytes of memory that it holds.
  int64_t bytes() const;

 private:
  /// One way to compute one shape, and the rates it reached.
  struct Candidate {
    LinearShape shape;
    std::function<void()> product;
    std::vector<double> rates;  // FLOP/s
  };
  void add_candidates(const LinearShape& shape);
  const Candidate& best() const;

  at::Device device_;
  at::Tensor input_, weight_, output_;  // flat, as large as the largest shape needs
  std::vector<Candidate> candidates_;
};

}  // namespace skipattn::analysis
