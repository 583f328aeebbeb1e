// Runs of neighbouring KV heads that read neighbouring heads of the same tensors: a narrow() of
// each tensor serves the whole run, so one call of a dense kernel does. Knows nothing of tensors.
#pragma once

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::cpu {

struct HeadRun {
  int64_t first_head = 0;  ///< KV head
  int64_t head_count = 0;
  std::vector<Pair> pairs;  ///< of the first head; head j of the run reads heads j further on, of
                            ///< the same tensors
};

/// Covers all KV heads in order, each run as long as it can be.
std::vector<HeadRun> find_head_runs(const HeadPairs& pairs);

}  // namespace skipattn::attention::cpu
