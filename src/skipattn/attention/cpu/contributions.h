// Which reads of a problem add to the gradient of which source head, in which order. Knows nothing of memory.
#pragma once

#include <cstdint>
#include <vector>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::cpu {

/// One side (keys or values) of one pair of one KV head, as it adds to a source head's gradient.
struct Contribution {
  int64_t tensor = 0;
  int64_t head = 0;
  int turn = 0;   ///< its place among the contributions to that head, from 0
  int count = 1;  ///< how many there are
};

struct PairContributions {
  Contribution key, value;
};

/// [Hkv][pairs]; turns follow the order (KV head, pair, key before value).
std::vector<std::vector<PairContributions>> number_contributions(const HeadPairs& pairs);

}  // namespace skipattn::attention::cpu
