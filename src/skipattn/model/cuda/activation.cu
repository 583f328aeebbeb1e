// A thread takes sixteen bytes of every tensor (one element where they do not lie so).
#include "skipattn/model/cuda/activation.h"

#include "skipattn/model/cuda/rows.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::blocks_for;
using skipattn::cuda::load;
using skipattn::cuda::packs_fit;
using skipattn::cuda::split;
using skipattn::cuda::store;

constexpr int kThreads = 256;

struct ValueAndSlope {
  float value, slope;
};

/// x s with s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), since (1 + tanh u) / 2 = sigmoid(2 u).
__device__ __forceinline__ ValueAndSlope tanh_form(float x) {
  const float square = x * x;
  const float sigmoid = 1.0f / (1.0f + expf(-x * (square * 0.0713548163f + 1.59576912f)));
  const float value = x * sigmoid;
  return {value, sigmoid + value * (1.0f - sigmoid) * (square * 0.214064449f + 1.59576912f)};
}

/// x Phi(x); its slope is Phi(x) + x phi(x).
__device__ __forceinline__ ValueAndSlope exact_form(float x) {
  const float cdf = 0.5f * erfcf(-x * 0.707106781f);
  return {x * cdf, cdf + x * expf(x * x * -0.5f) * 0.39894228f};
}

template <typename T, int kPack>
__global__ void gelu_kernel(GeluRange g) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kPack;
  if (at >= g.count) return;
  float x[kPack], gradient[kPack] = {};
  load(x, static_cast<const T*>(g.input) + at);
  T* dy = static_cast<T*>(g.gradient);
  if (dy != nullptr) load(gradient, dy + at);
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const ValueAndSlope y = g.exact ? exact_form(x[i]) : tanh_form(x[i]);
    x[i] = y.value;
    gradient[i] *= y.slope;
  }
  store(static_cast<T*>(g.output) + at, x);
  if (dy != nullptr) store(dy + at, gradient);
}

template <typename T, int kPack>
__global__ void swiglu_kernel(SwigluRows s) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kPack;
  if (at >= s.rows * s.width) return;
  const auto [row, column] = split(at, s.width);
  T* gates = static_cast<T*>(s.gate_up) + row * 2 * s.width + column;
  T* ups = gates + s.width;
  float gate[kPack], up[kPack], gradient[kPack] = {}, output[kPack];
  load(gate, gates);
  load(up, ups);
  if (s.output_gradient != nullptr) load(gradient, static_cast<const T*>(s.output_gradient) + at);
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const float sigmoid = 1.0f / (1.0f + expf(-gate[i])), silu = gate[i] * sigmoid;
    output[i] = silu * up[i];
    const float gate_gradient = gradient[i] * up[i] * (sigmoid + silu * (1.0f - sigmoid));
    up[i] = gradient[i] * silu;
    gate[i] = gate_gradient;
  }
  store(static_cast<T*>(s.output) + at, output);
  if (s.output_gradient == nullptr) return;
  store(gates, gate);
  store(ups, up);
}

}  // namespace

void gelu_range(const GeluRange& g, Stream stream) {
  with_type(g.bf16, [&](auto element) {
    using T = decltype(element);
    constexpr int kPack = 16 / sizeof(T);
    const bool fit = packs_fit(static_cast<const T*>(g.input), g.count, kPack) &&
                     packs_fit(static_cast<const T*>(g.output), g.count, kPack) &&
                     packs_fit(static_cast<const T*>(g.gradient), g.count, kPack);
    if (fit)
      launch(gelu_kernel<T, kPack>, {blocks_for(g.count / kPack, kThreads), kThreads}, stream, g);
    else
      launch(gelu_kernel<T, 1>, {blocks_for(g.count, kThreads), kThreads}, stream, g);
  });
}

void swiglu_rows(const SwigluRows& s, Stream stream) {
  const int64_t count = s.rows * s.width;
  with_type(s.bf16, [&](auto element) {
    using T = decltype(element);
    constexpr int kPack = 16 / sizeof(T);
    const bool fit = packs_fit(static_cast<const T*>(s.gate_up), s.width, kPack) &&
                     packs_fit(static_cast<const T*>(s.output), s.width, kPack) &&
                     packs_fit(static_cast<const T*>(s.output_gradient), s.width, kPack);
    if (fit)
      launch(swiglu_kernel<T, kPack>, {blocks_for(count / kPack, kThreads), kThreads}, stream, s);
    else
      launch(swiglu_kernel<T, 1>, {blocks_for(count, kThreads), kThreads}, stream, s);
  });
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
