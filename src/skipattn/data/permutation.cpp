#include "skipattn/data/permutation.h"

#include <algorithm>
#include <bit>

#include "skipattn/core/random.h"

namespace skipattn::data {

Permutation::Permutation(uint64_t count, uint64_t seed) : count_(count) {
  half_bits_ = std::max(1, (static_cast<int>(std::bit_width(count - 1)) + 1) / 2);
  Random random(seed);
  for (uint64_t& key : keys_) key = random.next();
}

uint64_t Permutation::operator()(uint64_t place) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {
    uint64_t left = place >> half_bits_;
    uint64_t right = place & mask;
    for (const uint64_t key : keys_) {
      const uint64_t mixed = Random(right ^ key).next() & mask;
      const uint64_t next = left ^ mixed;
      left = right;
      right = next;
    }
    place = left << half_bits_ | right;
  } while (place >= count_);
  return place;
}

}  // namespace skipattn::data
