// Forward pass of 64 queries: an online softmax over bites of keys. Scores are made transposed, a register tile of a few
// keys by 64 queries at a time, and become weights before they leave the registers, in the order in which the product
// with the values reads them.
//
// The maximum that weights are taken relative to is a stale one: it is raised only when a score passes it by 2^40, since
// rounding to bf16 or fp32 is relative and neither weights nor sums overflow before. After the first tile that is rare.
#pragma once

#include <cstring>

#include "skipattn/attention/cpu/kernels/exp2.h"
#include "skipattn/attention/cpu/kernels/output.h"
#include "skipattn/attention/cpu/kernels/product.h"

namespace skipattn::attention::cpu {
namespace {

inline constexpr int kForwardKeys = 192;    // keys of a bite, even and a multiple of the tile's rows
inline constexpr int kPrefetchedKeys = 24;  // how far ahead keys are asked for
inline constexpr float kSlack = 40;         // base 2
inline constexpr float kNone = -__builtin_inff();
inline constexpr double kLn2 = 0.693147180559945309;

/// Scratch of one forward block, carved from floats.
struct ForwardScratch {
  uint32_t* weights;  // [kForwardKeys / pair][64] words
  float* sums;        // [width][64], the unnormalised output, transposed
  float* reference;   // [64], the stale maximum of scale * log2(e) * score; -inf before the first key
  float* shift;       // [64], the same, 0 for -inf
  float* limit;       // [64], scores above it raise the reference
  float* total;       // [64], sums of weights
  float* divisor;     // [64], sums of weights as they were rounded: what the output is divided by

  ForwardScratch(float* p, const Geometry& g)
      : weights(reinterpret_cast<uint32_t*>(p)),
        sums(p + kForwardKeys * kQueryBlock),
        reference(sums + g.width * kQueryBlock),
        shift(reference + kQueryBlock),
        limit(shift + kQueryBlock),
        total(limit + kQueryBlock),
        divisor(total + kQueryBlock) {}
  static int64_t floats(const Geometry& g) { return int64_t{kQueryBlock} * (kForwardKeys + g.width + 5); }
};

/// A bite of keys of one pair.
struct Bite {
  const KeyValuePanels* panels = nullptr;
  int pair = 0;
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
  Vec factor;  // from scores to exponents of 2

  explicit Forward(const ForwardBlock& b)
      : block(b), scratch(b.scratch, b.geometry), factor(A::set(b.scale * kLog2E)) {}

  /// Weights of the bite and what they make of the values, for V vectors of queries from query q on.
  template <int V>
  void run_bite(const Bite& bite, int q) const {
    const int half_from = bite.masked ? half_begin<A>(*block.visible, bite.first, bite.keys) : bite.keys;
    int gathered = 0;  // keys whose values are in the sums already
    for_row_tiles<A>(bite.keys, [&]<int R>(int m) {
      const auto flush = [&] {
        gather<V>(bite, q, gathered, half_from, m);
        gathered = m;
      };
      if constexpr (V > 1)
        if (m >= half_from) return weigh<R, V / 2>(bite, m, q + V / 2 * A::kLanes, flush);
      weigh<R, V>(bite, m, q, flush);
    });
    gather<V>(bite, q, gathered, half_from, bite.keys);
  }

  /// R rows of keys from row m of the bite on become weights. `flush` is called before the reference is raised.
  template <int R, int V, class Flush>
  void weigh(const Bite& bite, int m, int q, const Flush& flush) const {
    const int64_t words = block.geometry.row_words;
    const uint32_t* keys = bite.panels->key_rows + (bite.first + m) * words;
    const int64_t values = int64_t{block.geometry.lane_words} * 4 / A::kPair;  // bytes of a key's values
    prefetch(keys + kPrefetchedKeys * words, R * words * 4);
    prefetch(reinterpret_cast<const char*>(bite.panels->value_pairs) + (bite.first + m) * values, R * values);
    Vec scores[R][V] = {};
    product_tile<A, R, V>(Broadcast<true>{keys, words}, Lanes{block.query_lanes + q, kQueryBlock}, words, scores);
    if (bite.masked) mask<R, V>(scores, bite.first + m, q);
    Vec highest[V];
    bool raise = false;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      highest[v] = scores[0][v];
#pragma GCC unroll 8
      for (int r = 1; r < R; ++r) highest[v] = A::max(highest[v], scores[r][v]);
      raise |= A::any_above(highest[v], A::load(scratch.limit + q + v * A::kLanes));
    }
    if (__builtin_expect(raise, 0)) {
      flush();
      for (int v = 0; v < V; ++v) raise_reference(highest[v], q + v * A::kLanes);
    }
    store_weights<R, V>(scores, bite, m, q);
  }

  /// Scores that their query may not see become minus infinity.
  template <int R, int V>
  void mask(Vec (&scores)[R][V], int key, int q) const {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        const int lane = q + v * A::kLanes;
        scores[r][v] =
            A::select(A::sees(key + r, block.visible->first + lane, block.visible->last + lane), scores[r][v], kNone);
      }
  }

  /// Takes the maximum for reference where it is above the limit, and scales what was summed relative to the old one.
  /// Other queries are left to the bit as they are: however often their neighbours are raised, nothing adds up.
  __attribute__((noinline)) void raise_reference(Vec highest, int q) const {
    const auto raised = A::above(highest, A::load(scratch.limit + q));
    const Vec old = A::load(scratch.reference + q);
    const Vec reference = A::blend(raised, A::mul(highest, factor), old);
    const Vec shift = A::replace_minus_infinity(reference, A::zero());
    const Vec decay = A::select(raised, exp2_lanes<A>(A::sub(old, shift)), 1.0f);
    A::store(scratch.reference + q, reference);
    A::store(scratch.shift + q, shift);
    A::store(scratch.limit + q, A::div(A::add(reference, A::set(kSlack)), factor));
    A::store(scratch.total + q, A::mul(A::load(scratch.total + q), decay));
    A::store(scratch.divisor + q, A::mul(A::load(scratch.divisor + q), decay));
    for (int i = 0; i < block.geometry.width; ++i) {
      float* sum = scratch.sums + i * kQueryBlock + q;
      A::store(sum, A::mul(A::load(sum), decay));
    }
  }

  template <int R, int V>
  __attribute__((always_inline)) void store_weights(const Vec (&scores)[R][V], const Bite& bite, int m, int q) const {
    const bool drops = block.dropout.threshold != 0;
    uint32_t* words = scratch.weights + m / A::kPair * kQueryBlock + q;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const int lane = q + v * A::kLanes;
      const Vec shift = A::load(scratch.shift + lane);
      Vec total = A::load(scratch.total + lane), weights[R + 1];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        weights[r] = exp2_lanes<A>(A::fms(scores[r][v], factor, shift));
        total = A::add(total, weights[r]);
      }
      A::store(scratch.total + lane, total);
      if constexpr (A::kPair == 2) {
        weights[R] = A::zero();
        Vec divisor = A::load(scratch.divisor + lane);
        const Vec ones = A::ones();
#pragma GCC unroll 8
        for (int r = 0; r < R; r += 2) {
          const Vec word = A::join(A::round(weights[r]), A::round(weights[r + 1]));
          divisor = A::dot(divisor, word, ones);
          A::store_words(words + r / 2 * kQueryBlock + v * A::kLanes, word);
        }
        A::store(scratch.divisor + lane, divisor);
        if (__builtin_expect(drops, 0)) {
          drop<R>(weights, bite, m, lane);
          for (int r = 0; r < R; r += 2)
            A::store_words(words + r / 2 * kQueryBlock + v * A::kLanes,
                           A::join(A::round(weights[r]), A::round(weights[r + 1])));
        }
      } else {
        if (__builtin_expect(drops, 0)) drop<R>(weights, bite, m, lane);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) A::store_words(words + r * kQueryBlock + v * A::kLanes, weights[r]);
      }
    }
  }

  template <int R>
  void drop(Vec* weights, const Bite& bite, int m, int lane) const {
    const uint32_t* hashes = block.row_hashes + bite.pair * kQueryBlock + lane;
    for (int r = 0; r < R; ++r)
      weights[r] = A::select(A::kept(hashes, static_cast<uint32_t>(bite.first + m + r), block.dropout.threshold),
                             weights[r], 0.0f);
  }

  /// sums[width][64] += value pairs, transposed, * weights of keys [begin, end) (begin even), V vectors from query q on;
  /// keys from half_from on for the second half of them only.
  template <int V>
  void gather(const Bite& bite, int q, int begin, int half_from, int end) const {
    gather_all<V>(bite, q, begin, end < half_from ? end : half_from);
    if constexpr (V > 1) gather_all<V / 2>(bite, q + V / 2 * A::kLanes, begin > half_from ? begin : half_from, end);
  }

  template <int V>
  void gather_all(const Bite& bite, int q, int begin, int end) const {
    if (begin >= end) return;
    const int64_t stride = block.geometry.lane_words, first = begin / A::kPair;
    add_product<A, false>(Broadcast<false>{bite.panels->value_pairs + (bite.first / A::kPair + first) * stride, stride},
                          Lanes{scratch.weights + first * kQueryBlock + q, kQueryBlock},
                          (end - begin + A::kPair - 1) / A::kPair, block.geometry.width, V, scratch.sums + q,
                          kQueryBlock);
  }

  void run() const {
    std::memset(scratch.sums, 0, sizeof(float) * block.geometry.width * kQueryBlock);
    for (int q = 0; q < kQueryBlock; ++q) {
      scratch.reference[q] = scratch.limit[q] = kNone;
      scratch.shift[q] = scratch.total[q] = scratch.divisor[q] = 0;
    }
    const VisibleKeys& visible = *block.visible;
    for (int pair = 0; pair < block.pair_count; ++pair)
      for (Bite bite{block.pairs + pair, pair, visible.begin}; bite.first < visible.end; bite.first += kForwardKeys) {
        bite.keys = visible.end - bite.first < kForwardKeys ? visible.end - bite.first : kForwardKeys;
        bite.masked = bite.first < visible.full_begin || bite.first + bite.keys > visible.full_end;
        for_vector_tiles<A>(kVectors, [&]<int V>(int v0) { run_bite<V>(bite, v0 * A::kLanes); });
      }
    finish();
  }

  void finish() const {
    float* const divisor = A::kPair == 2 ? scratch.divisor : scratch.total;
    // A query without keys gives zeros. One whose scores are all minus infinity divides 0 by 0, as softmax does.
    for (int q = 0; q < kQueryBlock; ++q)
      if (block.pair_count == 0 || block.visible->first[q] > block.visible->last[q]) divisor[q] = scratch.total[q] = 1;
    for (int q = 0; q < kQueryBlock; q += A::kLanes) {
      A::store(scratch.shift + q, A::div(A::set(block.dropout.keep_scale), A::load(divisor + q)));
      A::store(scratch.limit + q, log2_lanes<A>(A::load(scratch.total + q)));
    }
    // In fp64: of a large logsumexp fp32 keeps little enough behind the point. Without keys the reference is -infinity.
    for (int q = 0; q < block.queries; ++q)
      block.logsumexp[q] = static_cast<float>((double{scratch.reference[q]} + scratch.limit[q]) * kLn2);
    write_lanes<A>(block.geometry, scratch.sums, scratch.shift, block.queries, block.output, block.output_type);
  }
};

}  // namespace
}  // namespace skipattn::attention::cpu
