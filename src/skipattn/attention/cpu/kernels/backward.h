// Backward pass of some keys against 64 queries. Scores and the weights' gradients are made transposed, a register tile of
// a few keys by 64 queries at a time, and turned at once into the operands of the three products that follow:
//   grad_value[key] += weight[key][q] * grad_output[q],   grad_key[key] += grad_score[key][q] * query[q],
//   grad_query[q]   += grad_score[key][q] * key[key].
#pragma once

#include "skipattn/attention/cpu/kernels/exp2.h"
#include "skipattn/attention/cpu/kernels/product.h"

namespace skipattn::attention::cpu {
namespace {

/// Scratch of one tile. Words of a row of weights hold neighbouring queries (pair = 2: 32 words a row).
struct BackwardScratch {
  uint32_t* weights;      // [kKeyBlock][64 / pair]
  uint32_t* grad_scores;  // [kKeyBlock][64 / pair]
  uint32_t*
      grad_score_pairs;  // [kKeyBlock / pair][64], words hold neighbouring keys; pair = 1: the same as grad_scores
  float* scores;         // [8][64], a few rows

  BackwardScratch(const BackwardTile& tile, int pair) {
    const int64_t rows = int64_t{kKeyBlock} * kQueryBlock / pair;
    weights = reinterpret_cast<uint32_t*>(tile.scratch + tile.slot * slot_floats(pair));
    grad_scores = weights + rows;
    grad_score_pairs = pair == 1 ? grad_scores : grad_scores + rows;
    scores = tile.scratch + kTileSlots * slot_floats(pair);
  }
  static int64_t slot_floats(int pair) { return int64_t{kKeyBlock} * kQueryBlock / pair * (pair == 1 ? 2 : 3); }
  static int64_t floats(int pair) { return kTileSlots * slot_floats(pair) + 8 * kQueryBlock; }
};

template <class A>
struct Backward {
  using Vec = typename A::Vec;
  static constexpr int kVectors = kQueryBlock / A::kLanes;
  static constexpr int kRowWords = kQueryBlock / A::kPair;

  const BackwardTile& tile;
  BackwardScratch scratch;

  explicit Backward(const BackwardTile& t) : tile(t), scratch(t, A::kPair) {}

  /// What one vector of queries and one key give.
  struct Weight {
    Vec weight;      // after dropout, as grad_value sees it
    Vec grad_score;  // not yet times scale
  };

  template <bool kMasked, bool kDrops>
  __attribute__((always_inline)) Weight weigh(Vec score, Vec grad, int key, int q) const {
    Vec w = exp2_lanes<A>(A::fms(score, A::set(tile.scale * kLog2E), A::load(tile.queries.logsumexp2 + q)));
    if constexpr (kMasked) w = A::select(A::sees(key, tile.visible->first + q, tile.visible->last + q), w, 0.0f);
    if constexpr (kDrops) {
      const Vec delta = A::load(tile.queries.delta + q);
      const auto kept = A::kept(tile.row_hashes + q, static_cast<uint32_t>(key), tile.dropout.threshold);
      const Vec kept_scale = A::select(kept, A::set(tile.dropout.keep_scale), 0.0f);
      return {A::mul(w, kept_scale), A::mul(w, A::sub(A::mul(grad, kept_scale), delta))};
    }
    return {w, A::mul(w, grad)};
  }

  /// R rows of keys from `key` (of the tile) on, V vectors of queries from query q on: scores, weights, gradients.
  template <int R, int V, bool kMasked, bool kDrops>
  void weigh_tile(int key, int q) const {
    const int64_t words = tile.geometry.row_words;
    {
      Vec scores[R][V] = {};
      product_tile<A, R, V>(Broadcast<true>{tile.panels.key_rows + key * words, words},
                            Lanes{tile.queries.query_lanes + q, kQueryBlock}, words, scores);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) A::store(scratch.scores + r * kQueryBlock + v * A::kLanes, scores[r][v]);
    }
    Vec grads[R][V];  // of the weights; without dropout the sums begin at -delta, which has to be taken away anyway
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        grads[r][v] = kDrops ? A::zero() : A::sub(A::zero(), A::load(tile.queries.delta + q + v * A::kLanes));
    product_tile<A, R, V>(Broadcast<true>{tile.panels.value_rows + key * words, words},
                          Lanes{tile.queries.grad_lanes + q, kQueryBlock}, words, grads);
    const auto weigh_one = [&](int r, int v) __attribute__((always_inline)) {
      return weigh<kMasked, kDrops>(A::load(scratch.scores + r * kQueryBlock + v * A::kLanes), grads[r][v],
                                    tile.first_key + key + r, q + v * A::kLanes);
    };
    if constexpr (A::kPair == 2) {
      static_assert(V % 2 == 0);
#pragma GCC unroll 2
      for (int v = 0; v < V; v += 2)
#pragma GCC unroll 4
        for (int r = 0; r < R; r += 2) {
          const bool last = r + 1 == R;
          const int next = last ? r : r + 1;
          const Weight a = weigh_one(r, v), b = weigh_one(r, v + 1);
          const Vec grad_a = A::round(a.grad_score), grad_b = A::round(b.grad_score);
          store_row(scratch.weights, key + r, q + v * A::kLanes, A::round(a.weight), A::round(b.weight));
          store_row(scratch.grad_scores, key + r, q + v * A::kLanes, grad_a, grad_b);
          Vec next_a = A::zero(), next_b = A::zero();
          if (!last) {
            const Weight c = weigh_one(next, v), d = weigh_one(next, v + 1);
            next_a = A::round(c.grad_score);
            next_b = A::round(d.grad_score);
            store_row(scratch.weights, key + next, q + v * A::kLanes, A::round(c.weight), A::round(d.weight));
            store_row(scratch.grad_scores, key + next, q + v * A::kLanes, next_a, next_b);
          }
          uint32_t* pairs = scratch.grad_score_pairs + int64_t{(key + r) / 2} * kQueryBlock + q + v * A::kLanes;
          A::store_words(pairs, A::join(grad_a, next_a));
          A::store_words(pairs + A::kLanes, A::join(grad_b, next_b));
        }
    } else {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const Weight w = weigh_one(r, v);
          const int64_t word = int64_t{key + r} * kRowWords + q + v * A::kLanes;
          A::store_words(scratch.weights + word, w.weight);
          A::store_words(scratch.grad_scores + word, w.grad_score);
        }
    }
  }

  /// Two vectors of rounded numbers as words of one row.
  static void store_row(uint32_t* rows, int key, int q, Vec a, Vec b) {
    A::store_words(rows + int64_t{key} * kRowWords + q / 2, A::narrow(a, b));
  }

  void run() const {
    const bool masked =
        tile.first_key < tile.visible->full_begin || tile.first_key + tile.keys > tile.visible->full_end;
    if (tile.dropout.threshold != 0)
      run_as<true, true>();
    else if (masked)
      run_as<true, false>();
    else
      run_as<false, false>();
  }

  template <bool kMasked, bool kDrops>
  void run_as() const {
    const int half_from = kMasked ? half_begin<A>(*tile.visible, tile.first_key, tile.keys) : tile.keys;
    for_row_tiles<A>(tile.keys, [&]<int R>(int key) {
      prefetch_part(key, R);
      if (key >= half_from) {
        constexpr int kHalf = kQueryBlock / 2;
        clear_half(key, R);
        return weigh_tile<R, (kVectors > 1 ? kVectors / 2 : 1), kMasked, kDrops>(key, kHalf);
      }
      for (int q = 0; q < kQueryBlock; q += A::kTileVectors * A::kLanes)
        weigh_tile<R, A::kTileVectors, kMasked, kDrops>(key, q);
    });
  }

  /// What follows this tile: the next block's panels, which lie behind this one's, and the sums of this block's gradient.
  void prefetch_part(int key, int count) const {
    const int64_t lanes_bytes = int64_t{tile.geometry.row_words} * kQueryBlock * 4;
    const int64_t pairs_bytes = int64_t{tile.geometry.lane_words} * kRowWords * 4;
    const int64_t sums_bytes = int64_t{tile.geometry.width} * kQueryBlock * 4;
    const auto part = [&](const void* begin, int64_t bytes) {
      const int64_t from = bytes * key / tile.keys / 64 * 64, to = bytes * (key + count) / tile.keys;
      prefetch(static_cast<const char*>(begin) + from, to - from);
    };
    part(reinterpret_cast<const char*>(tile.queries.query_lanes) + lanes_bytes, lanes_bytes);
    part(reinterpret_cast<const char*>(tile.queries.grad_lanes) + lanes_bytes, lanes_bytes);
    part(reinterpret_cast<const char*>(tile.queries.query_pairs) + pairs_bytes, pairs_bytes);
    part(reinterpret_cast<const char*>(tile.queries.grad_pairs) + pairs_bytes, pairs_bytes);
    if (tile.grad_query != nullptr) part(tile.grad_query, sums_bytes);
  }

  /// The first half of the queries sees none of `count` keys.
  void clear_half(int key, int count) const {
    for (int r = key; r < key + count; ++r)
      for (int w = 0; w < kRowWords / 2; w += A::kLanes) {
        A::store_words(scratch.weights + int64_t{r} * kRowWords + w, A::zero());
        A::store_words(scratch.grad_scores + int64_t{r} * kRowWords + w, A::zero());
      }
  }

  void grad_query(bool add, float* sums) const {
    const int64_t stride = tile.geometry.lane_words;
    const Broadcast<false> keys{tile.panels.key_pairs, stride};
    const Lanes grads{scratch.grad_score_pairs, kQueryBlock};
    const bool masked = tile.first_key + tile.keys > tile.visible->full_end;
    const int half_from = masked ? half_begin<A>(*tile.visible, tile.first_key, tile.keys) : tile.keys;
    const int64_t words = (half_from + A::kPair - 1) / A::kPair, width = tile.geometry.width;
    if (add)
      add_product<A, false>(keys, grads, words, width, kVectors, sums, kQueryBlock);
    else
      add_product<A, true>(keys, grads, words, width, kVectors, sums, kQueryBlock);
    if (half_from == tile.keys) return;
    add_product<A, false>(Broadcast<false>{keys.at(0, words), stride},
                          Lanes{grads.data + words * kQueryBlock + kQueryBlock / 2, kQueryBlock},
                          (tile.keys + A::kPair - 1) / A::kPair - words, width, kVectors / 2, sums + kQueryBlock / 2,
                          kQueryBlock);
  }
};

/// Operands of one tile's part of a sum over queries.
struct QuerySum {
  const uint32_t* weights;  // [keys][64 / pair], from the range's first key on
  const uint32_t* lanes;    // [64 / pair][lane_words]
  int half_from;            // keys of the range from here on are seen by the second half of the queries only
};

/// sums[keys][lane_words] += the parts of `count` tiles.
template <class A>
void add_query_sums(const QuerySum* parts, int count, int keys, int lane_words, float* sums) {
  using Vec = typename A::Vec;
  constexpr int kRowWords = kQueryBlock / A::kPair;
  for_vector_tiles<A>(lane_words / A::kLanes, [&]<int V>(int v0) {
    for_row_tiles<A>(keys, [&]<int R>(int m) {
      float* target = sums + int64_t{m} * lane_words + v0 * A::kLanes;
      Vec tile[R][V];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          tile[r][v] = A::load(target + r * lane_words + v * A::kLanes);
          // The next tile's sums come from the second-level cache: ask for them now.
          __builtin_prefetch(target + (r + R) * lane_words + v * A::kLanes, 1);
        }
      for (int i = 0; i < count; ++i) {
        const int skip = m >= parts[i].half_from ? kRowWords / 2 : 0;
        product_tile<A, R, V>(Broadcast<true>{parts[i].weights + int64_t{m} * kRowWords + skip, kRowWords},
                              Lanes{parts[i].lanes + int64_t{skip} * lane_words + v0 * A::kLanes, lane_words},
                              kRowWords - skip, tile);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) A::store(target + r * lane_words + v * A::kLanes, tile[r][v]);
    });
  });
}

/// Adds what the tiles that hold all keys in [begin, end) give to these keys.
template <class A>
void add_key_range(const BackwardTile* tiles, int count, int begin, int end, const KeyGradients& to) {
  if (begin >= end) return;
  const int lane_words = tiles[0].geometry.lane_words;
  QuerySum values[kTileSlots], keys[kTileSlots];
  int used = 0;
  for (int i = 0; i < count; ++i) {
    const BackwardTile& tile = tiles[i];
    if (tile.first_key > begin || tile.first_key + tile.keys < end) continue;
    const BackwardScratch scratch(tile, A::kPair);
    const int64_t word = int64_t{begin - tile.first_key} * (kQueryBlock / A::kPair);
    const int half_from = half_begin<A>(*tile.visible, tile.first_key, tile.keys) - (begin - tile.first_key);
    values[used] = {scratch.weights + word, tile.queries.grad_pairs, half_from};
    keys[used++] = {scratch.grad_scores + word, tile.queries.query_pairs, half_from};
  }
  const int64_t row = int64_t{begin - to.first_key} * lane_words;
  add_query_sums<A>(values, used, end - begin, lane_words, to.value + row);
  add_query_sums<A>(keys, used, end - begin, lane_words, to.key + row);
}

template <class A>
void add_key_gradients(const BackwardTile* tiles, int count, const KeyGradients& to) {
  static_assert(kTileSlots == 2);
  const auto end = [](const BackwardTile& tile) { return tile.first_key + tile.keys; };
  if (count == 1) return add_key_range<A>(tiles, 1, tiles[0].first_key, end(tiles[0]), to);
  // Keys that both tiles see, and those before and after that one of them sees.
  const int first = tiles[0].first_key > tiles[1].first_key ? tiles[0].first_key : tiles[1].first_key;
  const int last = end(tiles[0]) < end(tiles[1]) ? end(tiles[0]) : end(tiles[1]);
  if (first >= last) {
    for (int i = 0; i < 2; ++i) add_key_range<A>(tiles + i, 1, tiles[i].first_key, end(tiles[i]), to);
    return;
  }
  add_key_range<A>(tiles, 2, first, last, to);
  for (int i = 0; i < 2; ++i) {
    add_key_range<A>(tiles + i, 1, tiles[i].first_key, first, to);
    add_key_range<A>(tiles + i, 1, last, end(tiles[i]), to);
  }
}

}  // namespace
}  // namespace skipattn::attention::cpu
