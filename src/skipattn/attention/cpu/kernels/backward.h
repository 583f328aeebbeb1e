// Backward pass of one chunk of keys against 64 queries. Scores and the weights' gradients are made transposed, a few
// rows of keys at a time, and turned at once into the operands of the three products that follow:
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

  BackwardScratch(float* p, int pair) {
    const int64_t rows = int64_t{kKeyBlock} * kQueryBlock / pair;
    weights = reinterpret_cast<uint32_t*>(p);
    grad_scores = weights + rows;
    grad_score_pairs = pair == 1 ? grad_scores : grad_scores + rows;
    scores = reinterpret_cast<float*>(grad_score_pairs + rows);
  }
  static int64_t floats(int pair) {
    return int64_t{kKeyBlock} * kQueryBlock / pair * (pair == 1 ? 2 : 3) + 16 * kQueryBlock;
  }
};

template <class A>
struct Backward {
  using Vec = typename A::Vec;
  static constexpr int kVectors = kQueryBlock / A::kLanes;
  static constexpr int kRowWords = kQueryBlock / A::kPair;

  const BackwardTile& tile;
  BackwardScratch scratch;

  explicit Backward(const BackwardTile& t) : tile(t), scratch(t.scratch, A::kPair) {}

  /// rows[R][64] = R rows of a panel * a lanes panel.
  template <int R>
  void product(const uint32_t* panel, const uint32_t* lanes, int key, float* rows) const {
    const int64_t words = tile.geometry.row_words;
    for_vector_tiles<A>(kVectors, [&]<int V>(int v0) {
      Vec sums[R][V] = {};
      product_tile<A, R, V>(Broadcast<true>{panel + key * words, words}, Lanes{lanes + v0 * A::kLanes, kQueryBlock},
                            words, sums);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) A::store(rows + r * kQueryBlock + (v0 + v) * A::kLanes, sums[r][v]);
    });
  }

  /// What one vector of 16 queries and one key gives.
  struct Weight {
    Vec weight;      // after dropout, as grad_value sees it
    Vec grad_score;  // not yet times scale
  };

  template <bool kMasked, bool kDrops>
  Weight weigh(Vec score, Vec grad, int key, int q) const {
    Vec w = exp2_lanes<A>(A::fms(score, A::set(tile.scale * kLog2E), A::load(tile.queries.logsumexp2 + q)));
    if constexpr (kMasked) w = A::select(A::sees(key, tile.visible->first + q, tile.visible->last + q), w, 0.0f);
    const Vec delta = A::load(tile.queries.delta + q);
    if constexpr (kDrops) {
      const auto kept = A::kept(tile.row_hashes + q, static_cast<uint32_t>(key), tile.dropout.threshold);
      const Vec kept_scale = A::select(kept, A::set(tile.dropout.keep_scale), 0.0f);
      return {A::mul(w, kept_scale), A::mul(w, A::sub(A::mul(grad, kept_scale), delta))};
    }
    return {w, A::mul(w, A::sub(grad, delta))};
  }

  /// Weights and gradients of rows key .. key + R of the chunk, from scratch.scores.
  template <int R, bool kMasked, bool kDrops>
  void weigh_rows(int key) const {
    const float* scores = scratch.scores;
    const float* grads = scratch.scores + 8 * kQueryBlock;
    for (int q = 0; q < kQueryBlock; q += A::kLanes * A::kPair) {
#pragma GCC unroll 8
      for (int r = 0; r < R; r += A::kPair) {
        if constexpr (A::kPair == 2) {
          Vec weights[2][2], grads_of[2][2];  // [row][half], rounded
#pragma GCC unroll 2
          for (int j = 0; j < 2; ++j)
#pragma GCC unroll 2
            for (int h = 0; h < 2; ++h) {
              const int lane = q + h * A::kLanes;
              weights[j][h] = grads_of[j][h] = A::zero();
              if (r + j >= R) continue;
              const Weight w = weigh<kMasked, kDrops>(A::load(scores + (r + j) * kQueryBlock + lane),
                                                      A::load(grads + (r + j) * kQueryBlock + lane),
                                                      tile.first_key + key + r + j, lane);
              weights[j][h] = A::round(w.weight);
              grads_of[j][h] = A::round(w.grad_score);
            }
#pragma GCC unroll 2
          for (int j = 0; j < 2; ++j) {
            if (r + j >= R) continue;
            const int64_t word = int64_t{key + r + j} * kRowWords + q / 2;
            A::store_words(scratch.weights + word, A::narrow(weights[j][0], weights[j][1]));
            A::store_words(scratch.grad_scores + word, A::narrow(grads_of[j][0], grads_of[j][1]));
          }
          uint32_t* pairs = scratch.grad_score_pairs + int64_t{(key + r) / 2} * kQueryBlock + q;
          A::store_words(pairs, A::join(grads_of[0][0], grads_of[1][0]));
          A::store_words(pairs + A::kLanes, A::join(grads_of[0][1], grads_of[1][1]));
        } else {
          const Weight w = weigh<kMasked, kDrops>(A::load(scores + r * kQueryBlock + q),
                                                  A::load(grads + r * kQueryBlock + q), tile.first_key + key + r, q);
          A::store_words(scratch.weights + int64_t{key + r} * kRowWords + q, w.weight);
          A::store_words(scratch.grad_scores + int64_t{key + r} * kRowWords + q, w.grad_score);
        }
      }
    }
  }

  void run() const {
    const bool masked =
        tile.first_key < tile.visible->full_begin || tile.first_key + tile.keys > tile.visible->full_end;
    const bool drops = tile.dropout.threshold != 0;
    for_row_tiles<A>(tile.keys, [&]<int R>(int key) {
      product<R>(tile.panels.key_rows, tile.queries.query_lanes, key, scratch.scores);
      product<R>(tile.panels.value_rows, tile.queries.grad_lanes, key, scratch.scores + 8 * kQueryBlock);
      if (drops)
        weigh_rows<R, true, true>(key);
      else if (masked)
        weigh_rows<R, true, false>(key);
      else
        weigh_rows<R, false, false>(key);
    });
    const int64_t lane_words = tile.geometry.lane_words;
    const int vectors = tile.geometry.lane_words / A::kLanes;
    add_product<A, false>(Broadcast<true>{scratch.weights, kRowWords}, Lanes{tile.queries.grad_pairs, lane_words},
                          kRowWords, tile.keys, vectors, tile.grad_value, lane_words);
    add_product<A, false>(Broadcast<true>{scratch.grad_scores, kRowWords}, Lanes{tile.queries.query_pairs, lane_words},
                          kRowWords, tile.keys, vectors, tile.grad_key, lane_words);
  }

  void grad_query(bool add, float* sums) const {
    const Broadcast<false> keys{tile.panels.key_pairs, tile.geometry.lane_words};
    const Lanes grads{scratch.grad_score_pairs, kQueryBlock};
    const int64_t words = (tile.keys + A::kPair - 1) / A::kPair;
    if (add)
      add_product<A, false>(keys, grads, words, tile.geometry.width, kVectors, sums, kQueryBlock);
    else
      add_product<A, true>(keys, grads, words, tile.geometry.width, kVectors, sums, kQueryBlock);
  }
};

}  // namespace
}  // namespace skipattn::attention::cpu
