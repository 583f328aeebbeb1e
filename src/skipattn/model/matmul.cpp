#include "skipattn/model/matmul.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace skipattn::model {

namespace {

/// x [N, I] times w [O, I] transposed, fp32, through oneDNN: twice as fast as torch's default on some processors.
at::Tensor onednn_fp32(const at::Tensor& x, const at::Tensor& w, const std::optional<at::Tensor>& bias) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::string_view,
                            c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>)>();
  return op.call(x, w, bias, "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace

void linear_forward(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  at::Tensor out = y;
  if (x.scalar_type() == at::kFloat) {
    out.copy_(onednn_fp32(x, weight, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt));
  } else if (bias.defined()) {
    at::addmm_out(out, bias, x, weight.t());
  } else {
    at::mm_out(out, x, weight.t());
  }
}

void linear_input_gradient(const at::Tensor& dx, const at::Tensor& dy, const at::Tensor& weight) {
  at::Tensor out = dx;
  if (dy.scalar_type() == at::kFloat) {
    out.copy_(onednn_fp32(dy, weight.t(), std::nullopt));
  } else {
    at::mm_out(out, dy, weight);
  }
}

void linear_weight_gradient(const LinearGradient& gradient, const at::Tensor& dy, const at::Tensor& x) {
  const at::Tensor product =
      dy.scalar_type() == at::kFloat ? onednn_fp32(dy.t(), x.t(), std::nullopt) : at::mm(dy.t(), x);
  const at::Tensor column_sums = gradient.bias.defined() ? dy.sum(0, false, at::kFloat) : at::Tensor();
  if (gradient.add) {
    gradient.weight.add_(product);
    if (gradient.bias.defined()) gradient.bias.add_(column_sums);
  } else {
    gradient.weight.copy_(product);
    if (gradient.bias.defined()) gradient.bias.copy_(column_sums);
  }
}

}  // namespace skipattn::model
