// Forward pass of 64 queries: an online softmax over bites of keys. Scores are made transposed, [keys][64 queries], so
// that maxima and sums run lane by lane and the weights come out as an operand of the next product.
#pragma once

#include <cstring>

#include "skipattn/attention/cpu/kernels/exp2.h"
#include "skipattn/attention/cpu/kernels/output.h"
#include "skipattn/attention/cpu/kernels/product.h"

namespace skipattn::attention::cpu {
namespace {

inline constexpr int kForwardKeys = 96;  // keys of a bite: a multiple of 6 and 4 rows; scores and weights stay in L1

/// Scratch of one forward block, carved from floats.
struct ForwardScratch {
  float* scores;      // [kForwardKeys][64]
  uint32_t* weights;  // [kForwardKeys / pair][64] words
  float* sums;        // [width][64], the unnormalised output, transposed
  float* maximum;     // [64], of scale * log2(e) * score
  float* total;       // [64], sums of weights
  float* decay;       // [64], what earlier sums are multiplied by
  float* highest;     // [64], score of the bite
  float* shift;       // [64], the maximum, or 0 where it is minus infinity

  ForwardScratch(float* p, const Geometry& g)
      : scores(p),
        weights(reinterpret_cast<uint32_t*>(p + kForwardKeys * kQueryBlock)),
        sums(p + 2 * kForwardKeys * kQueryBlock),
        maximum(sums + g.width * kQueryBlock),
        total(maximum + kQueryBlock),
        decay(total + kQueryBlock),
        highest(decay + kQueryBlock),
        shift(highest + kQueryBlock) {}
  static int64_t floats(const Geometry& g) { return int64_t{kQueryBlock} * (2 * kForwardKeys + g.width + 5); }
};

/// A bite of keys of one pair.
struct Bite {
  int first = 0;  // index of its first key
  int keys = 0;
  bool masked = false;  // some query does not see some key
};

template <class A>
struct Forward {
  using Vec = typename A::Vec;
  static constexpr int kVectors = kQueryBlock / A::kLanes;

  const ForwardBlock& block;
  ForwardScratch scratch;

  explicit Forward(const ForwardBlock& b) : block(b), scratch(b.scratch, b.geometry) {}

  /// scores[keys][64] = key rows * query lanes; highest[64] of the bite, lane by lane.
  void score(const KeyValuePanels& panels, const Bite& bite) const {
    const int64_t words = block.geometry.row_words;
    const Broadcast<true> keys{panels.key_rows + bite.first * words, words};
    for_vector_tiles<A>(kVectors, [&]<int V>(int v0) {
      const int q = v0 * A::kLanes;
      for (int v = 0; v < V; ++v) A::store(scratch.highest + q + v * A::kLanes, A::set(-__builtin_inff()));
      for_row_tiles<A>(bite.keys, [&]<int R>(int m) {
        float* rows = scratch.scores + m * kQueryBlock + q;
        Vec highest[V];
        product_tile<A, R, V>(
            keys.from_row(m), Lanes{block.query_lanes + q, kQueryBlock}, words, [](int, int) { return A::zero(); },
            [&](int r, int v, Vec sum) {
              A::store(rows + r * kQueryBlock + v * A::kLanes, sum);
              highest[v] = r == 0 ? sum : A::max(highest[v], sum);
            });
        for (int v = 0; v < V; ++v) {
          float* so_far = scratch.highest + q + v * A::kLanes;
          A::store(so_far, A::max(A::load(so_far), highest[v]));
        }
      });
    });
  }

  /// Scores that their query may not see become minus infinity.
  void mask(const Bite& bite) const {
    for (int q = 0; q < kQueryBlock; q += A::kLanes) {
      Vec highest = A::set(-__builtin_inff());
      for (int i = 0; i < bite.keys; ++i) {
        float* row = scratch.scores + i * kQueryBlock + q;
        const auto seen = A::sees(bite.first + i, block.visible->first + q, block.visible->last + q);
        const Vec score = A::select(seen, A::load(row), -__builtin_inff());
        A::store(row, score);
        highest = A::max(highest, score);
      }
      A::store(scratch.highest + q, highest);
    }
  }

  /// Maxima, what they shift scores by, and the decay of what was summed under the maxima before.
  void raise_maxima() const {
    for (int q = 0; q < kQueryBlock; q += A::kLanes) {
      const Vec old = A::load(scratch.maximum + q);
      const Vec maximum = A::max(old, A::mul(A::load(scratch.highest + q), A::set(block.scale * kLog2E)));
      // Where nothing was seen yet, scores are minus infinity and may be shifted by anything.
      const Vec shift = A::replace_minus_infinity(maximum, A::zero());
      const Vec decay = exp2_lanes<A>(A::sub(old, shift));
      A::store(scratch.maximum + q, maximum);
      A::store(scratch.shift + q, shift);
      A::store(scratch.decay + q, decay);
      A::store(scratch.total + q, A::mul(A::load(scratch.total + q), decay));
    }
  }

  /// Scores become weights, and their sums are added to the totals.
  template <bool kDrops>
  void weigh(const Bite& bite, int pair) const {
    const Vec factor = A::set(block.scale * kLog2E);
    for (int q0 = 0; q0 < kQueryBlock; q0 += A::kTileVectors * A::kLanes) {
      constexpr int kColumns = A::kTileVectors;
      Vec shift[kColumns], total[kColumns];
#pragma GCC unroll 4
      for (int v = 0; v < kColumns; ++v) {
        shift[v] = A::load(scratch.shift + q0 + v * A::kLanes);
        total[v] = A::load(scratch.total + q0 + v * A::kLanes);
      }
      const auto weight = [&](int key, int v) {
        const int q = q0 + v * A::kLanes;
        Vec w = exp2_lanes<A>(A::fms(A::load(scratch.scores + key * kQueryBlock + q), factor, shift[v]));
        total[v] = A::add(total[v], w);
        if constexpr (kDrops)
          w = A::select(A::kept(block.row_hashes + pair * kQueryBlock + q, static_cast<uint32_t>(bite.first + key),
                                block.dropout.threshold),
                        w, 0.0f);
        return w;
      };
      uint32_t* words = scratch.weights + q0;
      for (int key = 0; key < bite.keys; key += A::kPair, words += kQueryBlock) {
#pragma GCC unroll 4
        for (int v = 0; v < kColumns; ++v) {
          Vec w = weight(key, v);
          if constexpr (A::kPair == 2) {
            w = A::round(w);
            w = A::join(w, key + 1 < bite.keys ? A::round(weight(key + 1, v)) : A::zero());
          }
          A::store_words(words + v * A::kLanes, w);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < kColumns; ++v) A::store(scratch.total + q0 + v * A::kLanes, total[v]);
    }
  }

  void weigh_bite(const Bite& bite, int pair) const {
    raise_maxima();
    block.dropout.threshold != 0 ? weigh<true>(bite, pair) : weigh<false>(bite, pair);
  }

  /// sums[width][64] = sums * decay + value pairs, transposed, * weights.
  void gather(const KeyValuePanels& panels, const Bite& bite) const {
    const int64_t stride = block.geometry.lane_words;
    const Broadcast<false> values{panels.value_pairs + bite.first / A::kPair * stride, stride};
    for_vector_tiles<A>(kVectors, [&]<int V>(int v0) {
      const int q = v0 * A::kLanes;
      // Later queries see more: at the diagonal the first half of a block's lanes ends earlier.
      const int keys = visible_keys(bite, q + V * A::kLanes - 1);
      const Lanes weights{scratch.weights + q, kQueryBlock};
      for_row_tiles<A>(block.geometry.width, [&]<int R>(int m) {
        float* target = scratch.sums + m * kQueryBlock + q;
        product_tile<A, R, V>(
            values.from_row(m), weights, (keys + A::kPair - 1) / A::kPair,
            [&](int r, int v) {
              return A::mul(A::load(target + r * kQueryBlock + v * A::kLanes),
                            A::load(scratch.decay + q + v * A::kLanes));
            },
            [&](int r, int v, Vec sum) { A::store(target + r * kQueryBlock + v * A::kLanes, sum); });
      });
    });
  }

  /// Keys of the bite up to the last that query `last_query` or an earlier one sees.
  int visible_keys(const Bite& bite, int last_query) const {
    const int seen = block.visible->last[last_query] + 1 - bite.first;
    return !bite.masked || seen >= bite.keys || last_query >= block.queries ? bite.keys : (seen > 0 ? seen : 0);
  }

  void run() const {
    std::memset(scratch.sums, 0, sizeof(float) * block.geometry.width * kQueryBlock);
    std::memset(scratch.total, 0, sizeof(float) * kQueryBlock);
    for (int q = 0; q < kQueryBlock; ++q) scratch.maximum[q] = -__builtin_inff();
    const VisibleKeys& visible = *block.visible;
    for (int pair = 0; pair < block.pair_count; ++pair) {
      for (Bite bite{visible.begin}; bite.first < visible.end; bite.first += kForwardKeys) {
        bite.keys = visible.end - bite.first < kForwardKeys ? visible.end - bite.first : kForwardKeys;
        bite.masked = bite.first < visible.full_begin || bite.first + bite.keys > visible.full_end;
        score(block.pairs[pair], bite);
        if (bite.masked) mask(bite);
        weigh_bite(bite, pair);
        gather(block.pairs[pair], bite);
      }
    }
    finish();
  }

  void finish() const {
    for (int q = 0; q < kQueryBlock; q += A::kLanes) {
      const Vec total = A::load(scratch.total + q);
      const Vec inverse = A::div(A::set(block.dropout.keep_scale), A::replace_not_positive(total, A::set(1.0f)));
      for (int i = 0; i < block.geometry.width; ++i) {
        float* row = scratch.sums + i * kQueryBlock + q;
        A::store(row, A::mul(A::load(row), inverse));
      }
    }
    write_lanes<A>(block.geometry, scratch.sums, 1.0f, block.queries, block.output, block.output_type);
    for (int q = 0; q < block.queries; ++q)
      block.logsumexp[q] = scratch.total[q] == 0
                               ? -__builtin_inff()
                               : (scratch.maximum[q] + __builtin_log2f(scratch.total[q])) * 0.69314718f;
  }
};

}  // namespace
}  // namespace skipattn::attention::cpu
