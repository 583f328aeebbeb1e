#include "skipattn/training/loss.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "skipattn/core/operation_timer.h"
#include "skipattn/model/matmul.h"
#include "skipattn/training/fused/softmax_loss.h"

namespace skipattn::training {

namespace {

/// Softmax statistics are kept in fp32, or fp64 for fp64 inputs.
at::ScalarType accumulation_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

struct Chunk {
  at::Tensor losses;         // [rows], 0 where the target is -1
  at::Tensor probabilities;  // [rows, V]
  at::Tensor index;          // [rows, 1], the target, 0 where it is -1
  at::Tensor counted;        // [rows, 1], 1 or 0
};

/// Losses of some rows and the softmax behind them.
Chunk evaluate_chunk(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  Chunk chunk;
  at::Tensor scores = at::linear(hidden, weight).to(accumulation_type(hidden));
  chunk.index = targets.clamp_min(0).unsqueeze(1);
  chunk.counted = targets.ge(0).unsqueeze(1).to(scores.scalar_type());
  const at::Tensor target_scores = scores.gather(1, chunk.index);
  const at::Tensor maximum = scores.amax(1, /*keepdim=*/true);
  scores.sub_(maximum).exp_();
  const at::Tensor sums = scores.sum(1, /*keepdim=*/true);
  chunk.losses = ((sums.log() + maximum - target_scores) * chunk.counted).squeeze(1);
  chunk.probabilities = scores.div_(sums);
  return chunk;
}

class CrossEntropy : public torch::autograd::Function<CrossEntropy> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& targets, bool needs_gradient) {
    const at::ScalarType type = accumulation_type(hidden);
    const double count = std::max<double>(1.0, targets.ge(0).sum().item<double>());
    at::Tensor total = at::zeros({}, hidden.options().dtype(type));
    at::Tensor hidden_grad, weight_grad;
    if (needs_gradient) {
      hidden_grad = at::empty_like(hidden);
      weight_grad = at::zeros(weight.sizes(), weight.options().dtype(type));
    }
    const int64_t rows = hidden.size(0), step = loss_chunk_rows(weight.size(0), weight.device());
    for (int64_t begin = 0; begin < rows; begin += step) {
      const int64_t size = std::min(step, rows - begin);
      const at::Tensor part = hidden.narrow(0, begin, size);
      Chunk chunk = evaluate_chunk(part, weight, targets.narrow(0, begin, size));
      total += chunk.losses.sum();
      if (!needs_gradient) continue;
      // d loss / d logits = (softmax - one-hot) / count, rounded to the compute dtype for the two products.
      chunk.probabilities.scatter_add_(1, chunk.index, at::full_like(chunk.counted, -1.0));
      const at::Tensor logits_grad = chunk.probabilities.mul_(chunk.counted.mul_(1.0 / count)).to(hidden.scalar_type());
      hidden_grad.narrow(0, begin, size).copy_(at::mm(logits_grad, weight));
      weight_grad.add_(at::mm(logits_grad.t(), part));
    }
    context->save_for_backward({hidden_grad, weight_grad});
    context->saved_data["weight_dtype"] = static_cast<int64_t>(weight.scalar_type());
    return total / count;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto weight_dtype = static_cast<at::ScalarType>(context->saved_data["weight_dtype"].toInt());
    const at::Tensor& scale = grads[0];
    return {saved[0] * scale.to(saved[0].scalar_type()), (saved[1] * scale).to(weight_dtype), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

int64_t loss_chunk_rows(int64_t vocabulary, at::Device device) {
  const int64_t most = device.is_cpu() ? 4096 : 65536, bytes = device.is_cpu() ? int64_t{32} << 20 : int64_t{1} << 30;
  return std::clamp<int64_t>(bytes / (4 * vocabulary), 16, most);
}

at::Tensor cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const bool needs_gradient = c10::GradMode::is_enabled() && (hidden.requires_grad() || weight.requires_grad());
  return CrossEntropy::apply(hidden, weight, targets, needs_gradient);
}

namespace {

/// The first rows * 4 bytes of scratch are for losses, the rest for logits.
int64_t losses_bytes(int64_t rows) {
  return (rows * static_cast<int64_t>(sizeof(float)) + 63) / 64 * 64;
}

/// Rows in each of as few chunks of at most `most` rows as will do, all of about one size; whole tiles of products if that fits.
int64_t even_chunks(int64_t rows, int64_t most) {
  constexpr int64_t kTile = 128;
  const int64_t chunks = (rows + most - 1) / most, even = (rows + chunks - 1) / chunks;
  const int64_t tiled = std::min(rows, (even + kTile - 1) / kTile * kTile);
  return tiled <= most ? tiled : even;
}

}  // namespace

int64_t loss_scratch_bytes(int64_t rows, int64_t width, const at::TensorOptions& hidden) {
  const auto element = static_cast<int64_t>(c10::elementSize(c10::typeMetaToScalarType(hidden.dtype())));
  // Enough rows that the head gradient, which every chunk reads and writes as a whole, costs little beside the products.
  const int64_t most = hidden.device().is_cpu() ? std::clamp<int64_t>((int64_t{64} << 20) / width, 16, 8192)
                                                : std::max<int64_t>((int64_t{1} << 30) / (width * element), 16);
  return losses_bytes(rows) + even_chunks(rows, most) * width * element;
}

at::Tensor loss_and_gradients(const at::Tensor& hidden, const at::Tensor& head, const at::Tensor& targets,
                              const LossGradients& gradients) {
  const c10::NoGradGuard no_grad;
  const int64_t rows = hidden.size(0), width = head.size(0);
  const int64_t begin_logits = losses_bytes(rows), row_bytes = width * hidden.element_size();
  const int64_t step = even_chunks(rows, (gradients.scratch.numel() - begin_logits) / row_bytes);
  const at::Tensor losses = gradients.scratch.narrow(0, 0, rows * 4).view(at::kFloat);
  const at::Tensor count = targets.ge(0).sum().to(at::kDouble).clamp_min_(1.0);
  const at::Tensor scale = at::full_like(count, gradients.scale).div_(count).to(at::kFloat);
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t size = std::min(step, rows - begin);
    const at::Tensor part = hidden.narrow(0, begin, size);
    const at::Tensor logits =
        gradients.scratch.narrow(0, begin_logits, size * row_bytes).view(hidden.scalar_type()).view({size, width});
    {
      const OperationTimer timer("loss gemm forward");
      model::linear_forward(logits, part, head, {});
    }
    {
      const OperationTimer timer("loss");
      fused::softmax_loss({.logits = logits,
                           .targets = targets.narrow(0, begin, size),
                           .losses = losses.narrow(0, begin, size),
                           .vocabulary = gradients.vocabulary > 0 ? gradients.vocabulary : width,
                           .gradient_scale = scale});
    }
    const OperationTimer timer("loss gemm backward");
    model::linear_input_gradient(gradients.hidden.narrow(0, begin, size), logits, head);
    model::linear_weight_gradient({gradients.weight, {}, gradients.add || begin > 0}, logits, part);
  }
  return losses.sum(at::kDouble).div_(count);
}

at::Tensor token_losses(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const c10::NoGradGuard no_grad;
  const int64_t rows = hidden.size(0), step = loss_chunk_rows(weight.size(0), weight.device());
  at::Tensor losses = at::empty({rows}, hidden.options().dtype(accumulation_type(hidden)));
  for (int64_t begin = 0; begin < rows; begin += step) {
    const int64_t size = std::min(step, rows - begin);
    losses.narrow(0, begin, size)
        .copy_(evaluate_chunk(hidden.narrow(0, begin, size), weight, targets.narrow(0, begin, size)).losses);
  }
  return losses;
}

at::Tensor cross_entropy_reference(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const at::Tensor scores = at::linear(hidden, weight).to(accumulation_type(hidden));
  return at::cross_entropy_loss(scores, targets, {}, at::Reduction::Mean, /*ignore_index=*/-1);
}

}  // namespace skipattn::training
