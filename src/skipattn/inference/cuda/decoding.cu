// Decoding attention in two launches (Flash-Decoding, Dao et al. 2023): blocks take a chunk of the cache for one head and one
// of its sources and leave a partial softmax; a second launch joins a head's partials, joint sources among them.
#include "skipattn/inference/cuda/decoding.h"

#include "skipattn/core/cuda/elements.h"
#include "skipattn/core/cuda/reduce.h"

namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE {

namespace {

using skipattn::cuda::blocks_for;
using skipattn::cuda::from_float;
using skipattn::cuda::launch;
using skipattn::cuda::Maximum;
using skipattn::cuda::reduce_block;
using skipattn::cuda::reduce_warp;
using skipattn::cuda::split;
using skipattn::cuda::Stream;
using skipattn::cuda::Sum;
using skipattn::cuda::to_float;
using skipattn::cuda::with_type;

constexpr int kThreads = 128;

template <typename From, typename To>
__global__ void append_kernel(CardAppend a) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const auto [row, column] = split(number, (a.key_heads + a.value_heads) * a.head_width);
  if (row >= a.rows) return;
  const float x = to_float(static_cast<const From*>(a.projected)[row * a.projected_stride + column]);
  const auto [head, element] = split(column, a.head_width);
  const bool is_value = head >= a.key_heads;
  const int64_t heads = is_value ? a.value_heads : a.key_heads, place = is_value ? head - a.key_heads : head;
  To* cache = static_cast<To*>(is_value ? a.values : a.keys);
  cache[((row * heads + place) * a.capacity + *a.slot) * a.head_width + element] = from_float<To>(x);
}

/// The slots [begin, end) that a row's query sees.
struct Seen {
  int64_t begin, end;
};
__device__ __forceinline__ Seen seen_slots(const CardAttend& a, int64_t row) {
  const int64_t end = *a.slot + 1, windowed = a.window > 0 ? end - a.window : 0;
  return {a.first[row] > windowed ? a.first[row] : windowed, end};
}

/// One row's query head, one of its pairs, one chunk of the cache.
struct Place {
  int64_t row, head, pair, chunk;
};
__device__ __forceinline__ Place place_of(const CardAttend& a, int64_t block) {
  const int64_t chunks = (a.capacity + kCardChunk - 1) / kCardChunk;
  return {block / chunks / a.most_pairs / a.heads, block / chunks / a.most_pairs % a.heads,
          block / chunks % a.most_pairs, block % chunks};
}

/// scores[i] = scale * query . key of slot begin + i; a warp takes every fourth slot.
template <typename Cache>
__device__ void score_chunk(const CardAttend& a, const float* query, const Cache* keys, int64_t count, float* scores) {
  const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t i = warp; i < count; i += kThreads / 32) {
    float sum = 0;
    for (int64_t e = lane; e < a.head_width; e += 32) sum += query[e] * to_float(keys[i * a.head_width + e]);
    sum = reduce_warp<Sum>(sum);
    if (lane == 0) scores[i] = sum;
  }
}

template <typename T, typename Cache>
__global__ void attend_kernel(CardAttend a) {
  __shared__ float query[kMostCardWidth], scores[kCardChunk], shared[32];
  const Place at = place_of(a, blockIdx.x);
  const Seen seen = seen_slots(a, at.row);
  const int64_t chunk_begin = at.chunk * kCardChunk, chunk_end = chunk_begin + kCardChunk;
  const int64_t begin = seen.begin > chunk_begin ? seen.begin : chunk_begin;
  const int64_t end = seen.end < chunk_end ? seen.end : chunk_end;
  const int32_t number = a.pair_begin[at.head] + static_cast<int32_t>(at.pair);
  if (begin >= end || number >= a.pair_begin[at.head + 1]) return;  // the whole block
  const CardPair pair = a.pairs[number];
  const T* q = static_cast<const T*>(a.query) + at.row * a.query_stride + at.head * a.head_width;
  for (int64_t e = threadIdx.x; e < a.head_width; e += kThreads) query[e] = to_float(q[e]) * a.scale;
  __syncthreads();
  const int64_t count = end - begin;
  score_chunk(a, query, static_cast<const Cache*>(pair.keys) + at.row * pair.key_stride + begin * a.head_width, count,
              scores);
  __syncthreads();
  float largest = -INFINITY, weights = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) largest = fmaxf(largest, scores[i]);
  largest = reduce_block<Maximum>(largest, shared);
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    scores[i] = expf(scores[i] - largest);
    weights += scores[i];
  }
  weights = reduce_block<Sum>(weights, shared);
  __syncthreads();
  const Cache* values = static_cast<const Cache*>(pair.values) + at.row * pair.value_stride + begin * a.head_width;
  float* partial = a.partial + static_cast<int64_t>(blockIdx.x) * (a.head_width + 2);
  for (int64_t e = threadIdx.x; e < a.head_width; e += kThreads) {
    float sum = 0;
#pragma unroll 8
    for (int64_t i = 0; i < count; ++i) sum += scores[i] * to_float(values[i * a.head_width + e]);
    partial[e] = sum;
  }
  if (threadIdx.x == 0) {
    partial[a.head_width] = largest;
    partial[a.head_width + 1] = weights;
  }
}

/// A block for a row's head; the partials that attend_kernel wrote are those whose chunks hold seen slots.
template <typename T>
__global__ void join_kernel(CardAttend a) {
  const int64_t row = blockIdx.x / a.heads, head = blockIdx.x % a.heads;
  const int64_t chunks = (a.capacity + kCardChunk - 1) / kCardChunk;
  const Seen seen = seen_slots(a, row);
  const int64_t first = seen.begin / kCardChunk, last = (seen.end - 1) / kCardChunk;
  const int64_t pairs = a.pair_begin[head + 1] - a.pair_begin[head], stride = a.head_width + 2;
  const float* all = a.partial + static_cast<int64_t>(blockIdx.x) * a.most_pairs * chunks * stride;
  float largest = -INFINITY;
  for (int64_t pair = 0; pair < pairs; ++pair)
    for (int64_t chunk = first; chunk <= last; ++chunk)
      largest = fmaxf(largest, all[(pair * chunks + chunk) * stride + a.head_width]);
  T* to = static_cast<T*>(a.attended) + static_cast<int64_t>(blockIdx.x) * a.head_width;
  for (int64_t e = threadIdx.x; e < a.head_width; e += blockDim.x) {
    float sum = 0, weights = 0;
    for (int64_t pair = 0; pair < pairs; ++pair)
      for (int64_t chunk = first; chunk <= last; ++chunk) {
        const float* partial = all + (pair * chunks + chunk) * stride;
        const float factor = expf(partial[a.head_width] - largest);
        sum += factor * partial[e];
        weights += factor * partial[a.head_width + 1];
      }
    to[e] = from_float<T>(pairs > 0 ? sum / weights : 0.0f);
  }
}

}  // namespace

void append_to_cache(const CardAppend& a, Stream stream) {
  const int64_t count = a.rows * (a.key_heads + a.value_heads) * a.head_width;
  with_type(a.bf16, [&](auto from) {
    with_type(a.cache_bf16, [&](auto to) {
      launch(append_kernel<decltype(from), decltype(to)>, {blocks_for(count, kThreads), kThreads}, stream, a);
    });
  });
}

void attend_to_cache(const CardAttend& a, Stream stream) {
  const int64_t blocks = a.rows * a.heads * a.most_pairs * card_chunks(a.capacity);
  with_type(a.bf16, [&](auto element) {
    using T = decltype(element);
    with_type(a.cache_bf16, [&](auto cached) {
      launch(attend_kernel<T, decltype(cached)>, {blocks, kThreads}, stream, a);
    });
    launch(join_kernel<T>, {a.rows * a.heads, kThreads}, stream, a);
  });
}

}  // namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE
