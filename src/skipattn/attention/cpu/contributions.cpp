#include "skipattn/attention/cpu/contributions.h"

#include <map>
#include <utility>

namespace skipattn::attention::cpu {

std::vector<std::vector<PairContributions>> number_contributions(const HeadPairs& pairs) {
  std::map<std::pair<int64_t, int64_t>, int> counts;
  const auto add = [&](int64_t tensor, int64_t head) {
    return Contribution{tensor, head, counts[{tensor, head}]++, 0};
  };
  std::vector<std::vector<PairContributions>> result;
  for (const auto& list : pairs) {
    result.emplace_back();
    for (const Pair& pair : list) {
      const Contribution key = add(pair.key_tensor, pair.key_head);
      result.back().push_back({key, add(pair.value_tensor, pair.value_head)});
    }
  }
  for (auto& list : result)
    for (PairContributions& pair : list)
      for (Contribution* side : {&pair.key, &pair.value}) side->count = counts[{side->tensor, side->head}];
  return result;
}

}  // namespace skipattn::attention::cpu
