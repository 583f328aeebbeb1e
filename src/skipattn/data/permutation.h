// A random order of 0..count-1 that takes no memory: any place of it is computed on its own, so
// that step 10^6 of a run costs what step 0 costs and nothing about the order has to be saved.
#pragma once

#include <array>
#include <cstdint>

namespace skipattn::data {

/// A balanced Feistel network over the smallest even number of bits that holds count - 1; results
/// that are too large are sent through again until one fits (cycle walking; Black and Rogaway,
/// "Ciphers with Arbitrary Finite Domains", 2002), fewer than four times on average.
class Permutation {
 public:
  /// `count` is 1 or more. Equal (count, seed) give the same order everywhere.
  Permutation(uint64_t count, uint64_t seed);

  /// What stands at `place` (0..count-1).
  uint64_t operator()(uint64_t place) const;

 private:
  static constexpr int kRounds = 8;

  uint64_t count_;
  int half_bits_ = 1;
  std::array<uint64_t, kRounds> keys_{};
};

}  // namespace skipattn::data
