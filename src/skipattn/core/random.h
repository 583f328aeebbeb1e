// Random numbers that are the same on every machine, compiler and thread count.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace skipattn {

/// A 64-bit seed for one named purpose ("order", "transformer.h.0.attn.c_attn.weight", …) of a run's seed.
/// Different names give unrelated streams, so adding a use of randomness never shifts another.
uint64_t derive_seed(uint64_t seed, std::string_view name);

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, passes BigCrush; not for secrets.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next();
  /// Uniform in [0, bound), without modulo bias; bound > 0.
  uint64_t below(uint64_t bound);
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Normal with mean 0 and deviation 1 (Box–Muller, both halves used).
  double normal();

  /// Fisher–Yates; the permutation depends on the seed alone.
  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace skipattn
