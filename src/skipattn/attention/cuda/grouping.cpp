#include "skipattn/attention/cuda/grouping.h"

#include <algorithm>
#include <map>
#include <utility>

namespace skipattn::attention::cuda {
namespace {

/// One pair of one KV head, of a given key and value tensor.
struct Read {
  int64_t head = 0, key_head = 0, value_head = 0;
  auto operator<=>(const Read&) const = default;
};

/// The longest chain of reads at constant steps that begins with reads[from], reads[to]; as indices. Reads are sorted.
std::vector<size_t> follow(const std::vector<Read>& reads, size_t from, size_t to) {
  std::vector<size_t> chain = {from};
  const Read &a = reads[from], &b = reads[to];
  const int64_t step = b.head - a.head, keys = b.key_head - a.key_head, values = b.value_head - a.value_head;
  if (step <= 0 || keys < 0 || values < 0) return chain;
  chain.push_back(to);
  for (;;) {
    const Read& last = reads[chain.back()];
    const Read next{last.head + step, last.key_head + keys, last.value_head + values};
    const auto found = std::lower_bound(reads.begin(), reads.end(), next);
    if (found == reads.end() || *found != next) return chain;
    chain.push_back(static_cast<size_t>(found - reads.begin()));
  }
}

/// The longest of all chains; of equally long ones that with the smallest step, whose query heads are neighbours.
std::vector<size_t> longest_chain(const std::vector<Read>& reads) {
  std::vector<size_t> best = {0};
  const auto step = [&](const std::vector<size_t>& chain) {
    return chain.size() < 2 ? 0 : reads[chain[1]].head - reads[chain[0]].head;
  };
  for (size_t from = 0; from + 1 < reads.size(); ++from) {
    for (size_t to = from + 1; to < reads.size(); ++to) {
      std::vector<size_t> chain = follow(reads, from, to);
      if (chain.size() > best.size() || (chain.size() == best.size() && step(chain) < step(best)))
        best = std::move(chain);
      if (best.size() == reads.size()) return best;
    }
  }
  return best;
}

HeadRange range_of(int64_t first, int64_t second, size_t count) {
  return {first, count > 1 ? second - first : 1, static_cast<int64_t>(count)};
}

}  // namespace

std::vector<HeadGroup> group_heads(const HeadPairs& pairs) {
  std::map<std::pair<int64_t, int64_t>, std::vector<Read>> by_tensors;
  for (size_t head = 0; head < pairs.size(); ++head)
    for (const Pair& pair : pairs[head])
      by_tensors[{pair.key_tensor, pair.value_tensor}].push_back(
          {static_cast<int64_t>(head), pair.key_head, pair.value_head});

  std::vector<HeadGroup> groups;
  for (auto& [tensors, reads] : by_tensors) {
    std::sort(reads.begin(), reads.end());
    while (!reads.empty()) {
      const std::vector<size_t> chain = longest_chain(reads);
      const Read a = reads[chain.front()], b = reads[chain[chain.size() > 1 ? 1 : 0]];
      const size_t count = chain.size();
      groups.push_back({range_of(a.head, b.head, count), tensors.first, tensors.second,
                        range_of(a.key_head, b.key_head, count), range_of(a.value_head, b.value_head, count)});
      for (auto i = chain.rbegin(); i != chain.rend(); ++i) reads.erase(reads.begin() + static_cast<int64_t>(*i));
    }
  }
  return groups;
}

}  // namespace skipattn::attention::cuda
