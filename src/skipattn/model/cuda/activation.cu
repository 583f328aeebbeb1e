// A thread takes sixteen bytes of every tensor (one element where they do not lie so).
#include "skipattn/model/cuda/activation.h"

#include <algorithm>

#include "skipattn/model/cuda/column_walk.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::blocks_for;
using skipattn::cuda::load;
using skipattn::cuda::packs_fit;
using skipattn::cuda::split;
using skipattn::cuda::store;

constexpr int kThreads = 256;
constexpr int64_t kRowsOfOnePart = 256;
constexpr int64_t kMostParts = 256;

struct ValueAndSlope {
  float value, slope;
};

/// 1 / (1 + exp(-x)); for bf16 by the card's own approximations (2 units in the last place of fp32), else these kernels wait
/// for arithmetic and not for memory.
template <typename T>
__device__ __forceinline__ float sigmoid_of(float x) {
  if constexpr (sizeof(T) == sizeof(float)) return 1.0f / (1.0f + expf(-x));
  return __fdividef(1.0f, 1.0f + __expf(-x));
}

/// x s with s = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), since (1 + tanh u) / 2 = sigmoid(2 u).
template <typename T>
__device__ __forceinline__ ValueAndSlope tanh_form(float x) {
  const float square = x * x;
  const float sigmoid = sigmoid_of<T>(x * (square * 0.0713548163f + 1.59576912f));
  const float value = x * sigmoid;
  return {value, sigmoid + value * (1.0f - sigmoid) * (square * 0.214064449f + 1.59576912f)};
}

/// x Phi(x); its slope is Phi(x) + x phi(x).
__device__ __forceinline__ ValueAndSlope exact_form(float x) {
  const float cdf = 0.5f * erfcf(-x * 0.707106781f);
  return {x * cdf, cdf + x * expf(x * x * -0.5f) * 0.39894228f};
}

/// x becomes gelu(x), gradient *= gelu'(x).
template <typename T, int kPack>
__device__ __forceinline__ void activate_pack(bool exact, float (&x)[kPack], float (&gradient)[kPack]) {
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const ValueAndSlope y = exact ? exact_form(x[i]) : tanh_form<T>(x[i]);
    x[i] = y.value;
    gradient[i] *= y.slope;
  }
}

template <typename T, int kPack>
__global__ void gelu_kernel(GeluRange g) {
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kPack;
  if (at >= g.count) return;
  float x[kPack], gradient[kPack] = {};
  load(x, static_cast<const T*>(g.input) + at);
  T* dy = static_cast<T*>(g.gradient);
  if (dy != nullptr) load(gradient, dy + at);
  activate_pack<T>(g.exact, x, gradient);
  store(static_cast<T*>(g.output) + at, x);
  if (dy != nullptr) store(dy + at, gradient);
}

/// The same by columns, whose sums are the gradient of the bias before the activation.
template <typename T, int kNeighbours>
struct GeluBackward {
  static constexpr int kPack = kNeighbours, kRowsAtOnce = 2;
  GeluRange g;
  int64_t columns;
  __device__ __forceinline__ void take(int64_t row, int64_t column, float (&gradient)[kPack]) const {
    const int64_t at = row * columns + column;
    T* dy = static_cast<T*>(g.gradient) + at;
    float x[kPack];
    load(x, static_cast<const T*>(g.input) + at);
    load(gradient, dy);
    activate_pack<T>(g.exact, x, gradient);
    store(static_cast<T*>(g.output) + at, x);
    store(dy, gradient);
  }
};

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
    const float sigmoid = sigmoid_of<T>(gate[i]), silu = gate[i] * sigmoid;
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

int64_t gelu_sum_parts(int64_t rows) {
  return std::clamp<int64_t>(rows / kRowsOfOnePart, 1, kMostParts);
}

void gelu_rows_with_sums(const GeluRange& g, int64_t columns, float* parts, Stream stream) {
  const int64_t rows = g.count / columns;
  const ColumnWalk walk = {rows, columns, gelu_sum_parts(rows), parts, /*add=*/false};
  with_type(g.bf16, [&](auto element) {
    using T = decltype(element);
    constexpr int kPack = 16 / sizeof(T);
    const bool fit = packs_fit(static_cast<const T*>(g.input), columns, kPack) &&
                     packs_fit(static_cast<const T*>(g.output), columns, kPack) &&
                     packs_fit(static_cast<const T*>(g.gradient), columns, kPack);
    fit ? walk_columns(GeluBackward<T, kPack>{g, columns}, walk, stream)
        : walk_columns(GeluBackward<T, 1>{g, columns}, walk, stream);
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
