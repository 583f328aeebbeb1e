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

  ForwardScratch(float* p, const Geometry& g)
      : scores(p),
        weights(reinterpret_cast<uint32_t*>(p + kForwardKeys * kQueryBlock)),
        sums(p + 2 * kForwardKeys * kQueryBlock),
        maximum(sums + g.width * kQueryBlock),
        total(maximum + kQueryBlock),
        decay(total + kQueryBlock) {}
  static int64_t floats(const Geometry& g) { return int64_t{kQueryBlock} * (2 * kForwardKeys + g.width + 3); }
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

  /// scores[keys][64] = key rows * query lanes.
  void score(const KeyValuePanels& panels, const Bite& bite) const {
    const int64_t words = block.geometry.row_words;
    add_product<A, true>(Broadcast<true>{panels.key_rows + bite.first * words, words},
                         Lanes{block.query_lanes, kQueryBlock}, words, bite.keys, kVectors, scratch.scores,
                         kQueryBlock);
  }

  void mask(const Bite& bite) const {
    for (int i = 0; i < bite.keys; ++i)
      for (int q = 0; q < kQueryBlock; q += A::kLanes) {
        float* row = scratch.scores + i * kQueryBlock + q;
        const auto seen = A::sees(bite.first + i, block.visible->first + q, block.visible->last + q);
        A::store(row, A::select(seen, A::load(row), -__builtin_inff()));
      }
  }

  /// Scores of 16 queries become weights; maxima, sums and decays follow.
  void weigh(const Bite& bite, int pair, int q) const {
    const float* scores = scratch.scores + q;
    Vec highest[4];
    for (auto& h : highest) h = A::set(-__builtin_inff());
    int i = 0;
    for (; i + 4 <= bite.keys; i += 4)
      for (int j = 0; j < 4; ++j) highest[j] = A::max(highest[j], A::load(scores + (i + j) * kQueryBlock));
    for (; i < bite.keys; ++i) highest[0] = A::max(highest[0], A::load(scores + i * kQueryBlock));
    const Vec factor = A::set(block.scale * kLog2E);
    const Vec bite_maximum = A::mul(A::max(A::max(highest[0], highest[1]), A::max(highest[2], highest[3])), factor);
    const Vec old = A::load(scratch.maximum + q);
    const Vec maximum = A::max(old, bite_maximum);
    // Where nothing was seen yet, weights are 2^(-inf - 0) = 0.
    const Vec shift = A::replace_minus_infinity(maximum, A::zero());
    const Vec decay = exp2_lanes<A>(A::sub(old, shift));
    A::store(scratch.maximum + q, maximum);
    A::store(scratch.decay + q, decay);
    Vec total[2] = {A::mul(A::load(scratch.total + q), decay), A::zero()};
    const bool drops = block.dropout.threshold != 0;
    const auto weight = [&](int key, Vec& sum) {
      Vec w = exp2_lanes<A>(A::fms(A::load(scores + key * kQueryBlock), factor, shift));
      sum = A::add(sum, w);
      if (drops) {
        const auto kept = A::kept(block.row_hashes + pair * kQueryBlock + q, static_cast<uint32_t>(bite.first + key),
                                  block.dropout.threshold);
        w = A::select(kept, w, 0.0f);
      }
      return w;
    };
    uint32_t* words = scratch.weights + q;
    if constexpr (A::kPair == 2) {
      int key = 0;
      for (; key + 2 <= bite.keys; key += 2, words += kQueryBlock) {
        const Vec low = weight(key, total[0]);
        A::store_words(words, A::join(low, weight(key + 1, total[1])));
      }
      if (key < bite.keys) A::store_words(words, A::join(weight(key, total[0]), A::zero()));
    } else {
      for (int key = 0; key < bite.keys; ++key, words += kQueryBlock)
        A::store_words(words, weight(key, total[key & 1]));
    }
    A::store(scratch.total + q, A::add(total[0], total[1]));
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
        for (int q = 0; q < kQueryBlock; q += A::kLanes) weigh(bite, pair, q);
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
