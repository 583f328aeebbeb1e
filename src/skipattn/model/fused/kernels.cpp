#include "skipattn/model/fused/kernels.h"

#include "skipattn/core/cuda/device_kernels.h"

namespace skipattn::model::fused {

namespace {

skipattn::cuda::DeviceKernels<Kernels>& table() {
  static skipattn::cuda::DeviceKernels<Kernels> kernels(&cpu::kernels(), model::cuda::kernels());
  return kernels;
}

const Kernels& kernels_for(const at::Tensor& tensor) {
  return table().of(tensor.device());
}

}  // namespace

bool has_kernels(at::Device device) {
  return table().find(device) != nullptr;
}

void replace_cpu_kernels(const Kernels* kernels) {
  table().replace_cpu(kernels);
}

void layer_norm_forward(const NormForward& call, const NormParameters& norm) {
  kernels_for(call.normed).layer_norm_forward(call, norm);
}
void layer_norm_backward(const NormBackward& call, const NormParameters& norm) {
  kernels_for(call.gradient).layer_norm_backward(call, norm);
}
void head_norm_forward(const at::Tensor& x, const at::Tensor& kept, const NormParameters& norm) {
  kernels_for(x).head_norm_forward(x, kept, norm);
}
void head_norm_backward(const HeadNormBackward& call, const NormParameters& norm) {
  kernels_for(call.gradient).head_norm_backward(call, norm);
}
void rotate(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& table, Turn turn) {
  kernels_for(x).rotate(x, positions, table, turn);
}
void gelu_forward(const at::Tensor& input, const at::Tensor& output, bool exact) {
  kernels_for(input).gelu_forward(input, output, exact);
}
void gelu_backward(const at::Tensor& input, const at::Tensor& gradient, const at::Tensor& output, bool exact,
                   const SumsInPassing& sums) {
  kernels_for(input).gelu_backward(input, gradient, output, exact, sums);
}
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& output) {
  kernels_for(gate_up).swiglu_forward(gate_up, output);
}
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& output_gradient, const at::Tensor& output) {
  kernels_for(gate_up).swiglu_backward(gate_up, output_gradient, output);
}
void embed(const at::Tensor& token_table, const at::Tensor& token_ids, const at::Tensor& position_table,
           const at::Tensor& position_ids, const at::Tensor& residual) {
  kernels_for(residual).embed(token_table, token_ids, position_table, position_ids, residual);
}
void add_embedding_gradient(const at::Tensor& table_gradient, const at::Tensor& ids, const at::Tensor& gradient) {
  kernels_for(gradient).add_embedding_gradient(table_gradient, ids, gradient);
}
void dropout_mask(const at::Tensor& mask, double p, uint64_t seed) {
  kernels_for(mask).dropout_mask(mask, p, seed);
}
void drop_in_place(const at::Tensor& x, double p, uint64_t seed) {
  kernels_for(x).drop_in_place(x, p, seed);
}
void set_to_zero(const at::Tensor& tensor) {
  kernels_for(tensor).set_to_zero(tensor);
}
void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add) {
  kernels_for(matrix).column_sums(matrix, sums, add);
}

bool sums_in_passing(at::Device device) {
  const Kernels* kernels = table().find(device);
  return kernels != nullptr && kernels->sums_in_passing;
}

}  // namespace skipattn::model::fused
