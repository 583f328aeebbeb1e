// Register-tiled products of word panels: C[m][lanes] (+)= sum over k of A[m][k] * B[k][lanes].
#pragma once

#include "skipattn/attention/cpu/kernels/kernels.h"

namespace skipattn::attention::cpu {
namespace {

/// The operand whose words are taken one by one. kAlongRows: A[m][k] = data[m * stride + k], else data[k * stride + m].
template <bool kAlongRows>
struct Broadcast {
  const uint32_t* data;
  int64_t stride;

  const uint32_t* at(int m, int64_t k) const { return kAlongRows ? data + m * stride + k : data + k * stride + m; }
  Broadcast from_row(int m) const { return {at(m, 0), stride}; }
};

/// The operand read a vector at a time.
struct Lanes {
  const uint32_t* data;
  int64_t stride;  ///< words from one k to the next
};

/// Asks for `bytes` of memory that will be read soon, into the second-level cache: the processor's own prefetching stops at
/// every page.
inline void prefetch(const void* begin, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(begin) + at, 0, 2);
}

/// One register tile of R x V vectors, added to `sums`.
template <class A, int R, int V, bool kAlongRows>
inline __attribute__((always_inline)) void product_tile(Broadcast<kAlongRows> a, Lanes b, int64_t k_count,
                                                        typename A::Vec (&sums)[R][V]) {
  for (int64_t k = 0; k < k_count; ++k) {
    typename A::Vec lanes[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) lanes[v] = A::load_words(b.data + k * b.stride + v * A::kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const typename A::Vec word = A::broadcast_word(a.at(r, k));
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = A::dot(sums[r][v], lanes[v], word);
    }
  }
}

/// Calls body.template operator()<R>(first row) for tiles of A::kTileRows rows and one smaller tile at the end.
template <class A, class Body>
inline __attribute__((always_inline)) void for_row_tiles(int rows, const Body& body) {
  int m = 0;
  for (; m + A::kTileRows <= rows; m += A::kTileRows) body.template operator()<A::kTileRows>(m);
  switch (rows - m) {
    case 5:
      if constexpr (A::kTileRows > 5) body.template operator()<5>(m);
      break;
    case 4:
      if constexpr (A::kTileRows > 4) body.template operator()<4>(m);
      break;
    case 3:
      body.template operator()<3>(m);
      break;
    case 2:
      body.template operator()<2>(m);
      break;
    case 1:
      body.template operator()<1>(m);
      break;
    default:
      break;
  }
}

/// Below a causal diagonal the first half of a block's queries sees nothing: the first row, a multiple of the tile's, from
/// which keys first_key + row are seen by the second half alone. `rows` when there is none.
template <class A>
inline int half_begin(const VisibleKeys& visible, int first_key, int rows) {
  if constexpr (A::kTileVectors * A::kLanes != kQueryBlock) return rows;
  const int unseen = visible.last[kQueryBlock / 2 - 1] + 1 - first_key;
  const int from = unseen <= 0 ? 0 : (unseen + A::kTileRows - 1) / A::kTileRows * A::kTileRows;
  return from < rows ? from : rows;
}

/// Calls body.template operator()<V>(first vector) for column tiles of at most A::kTileVectors vectors, as even as can
/// be.
template <class A, class Body>
inline __attribute__((always_inline)) void for_vector_tiles(int vectors, const Body& body) {
  int v = 0;
  for (int tiles = (vectors + A::kTileVectors - 1) / A::kTileVectors; tiles > 0; --tiles) {
    const int size = (vectors - v + tiles - 1) / tiles;
    switch (size) {
      case 4:
        if constexpr (A::kTileVectors >= 4) body.template operator()<4>(v);
        break;
      case 3:
        if constexpr (A::kTileVectors >= 3) body.template operator()<3>(v);
        break;
      case 2:
        body.template operator()<2>(v);
        break;
      default:
        body.template operator()<1>(v);
        break;
    }
    v += size;
  }
}

/// C += A * B for `rows` rows and `vectors` vectors of lanes; kFresh: C = A * B. c_stride in floats.
template <class A, bool kFresh, bool kAlongRows>
void add_product(Broadcast<kAlongRows> a, Lanes b, int64_t k_count, int rows, int vectors, float* c, int64_t c_stride) {
  for_vector_tiles<A>(vectors, [&]<int V>(int v0) {
    const Lanes lanes{b.data + v0 * A::kLanes, b.stride};
    for_row_tiles<A>(rows, [&]<int R>(int m) {
      float* target = c + m * c_stride + v0 * A::kLanes;
      typename A::Vec sums[R][V];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
          sums[r][v] = kFresh ? A::zero() : A::load(target + r * c_stride + v * A::kLanes);
          // The next tile's sums come from the second-level cache: ask for them now.
          if constexpr (!kFresh) __builtin_prefetch(target + (r + R) * c_stride + v * A::kLanes, 1);
        }
      product_tile<A, R, V>(a.from_row(m), lanes, k_count, sums);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) A::store(target + r * c_stride + v * A::kLanes, sums[r][v]);
    });
  });
}

}  // namespace
}  // namespace skipattn::attention::cpu
