#include "skipattn/attention/cpu/head_runs.h"

#include <algorithm>

namespace skipattn::attention::cpu {
namespace {

bool continues(const HeadRun& run, const std::vector<Pair>& next) {
  const int64_t step = run.head_count;
  return std::equal(run.pairs.begin(), run.pairs.end(), next.begin(), next.end(), [&](const Pair& a, const Pair& b) {
    return a.key_tensor == b.key_tensor && a.value_tensor == b.value_tensor && a.key_head + step == b.key_head &&
           a.value_head + step == b.value_head;
  });
}

}  // namespace

std::vector<HeadRun> find_head_runs(const HeadPairs& pairs) {
  std::vector<HeadRun> runs;
  for (size_t head = 0; head < pairs.size(); ++head) {
    if (runs.empty() || !continues(runs.back(), pairs[head])) {
      runs.push_back({static_cast<int64_t>(head), 0, pairs[head]});
    }
    ++runs.back().head_count;
  }
  return runs;
}

}  // namespace skipattn::attention::cpu
