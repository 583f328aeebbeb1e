// For the tests of the decoding kernels: random numbers, and memory as the kernels want it.
#pragma once

#include <algorithm>
#include <vector>

#include "skipattn/core/random.h"
#include "skipattn/inference/memory.h"

namespace skipattn::inference::cpu {

inline std::vector<float> random_numbers(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(static_cast<float>(4 * random.uniform() - 2));
  return numbers;
}

class AlignedFloats {
 public:
  AlignedFloats(int64_t count, float value) : memory_(count * 4) { std::fill_n(data(), count, value); }
  float* data() const { return reinterpret_cast<float*>(memory_.data()); }

 private:
  LargeMemory memory_;
};

}  // namespace skipattn::inference::cpu
