#include "skipattn/attention/cpu/source_gradients.h"

#include <algorithm>

namespace skipattn::attention::cpu {
namespace {

/// Per source, whether one of its heads is read more than once.
std::vector<bool> read_twice(const Problem& problem) {
  std::vector<std::vector<int>> readers;
  for (const at::Tensor& source : problem.sources) readers.emplace_back(source.size(1), 0);
  for (const auto& head : problem.pairs) {
    for (const Pair& pair : head) {
      ++readers[pair.key_tensor][pair.key_head];
      ++readers[pair.value_tensor][pair.value_head];
    }
  }
  std::vector<bool> result;
  for (const auto& counts : readers) {
    result.push_back(std::any_of(counts.begin(), counts.end(), [](int count) { return count > 1; }));
  }
  return result;
}

}  // namespace

SourceGradients::SourceGradients(const Problem& problem, bool keys_overlap)
    : shared_(read_twice(problem)), dtype_(problem.query.scalar_type()) {
  for (size_t i = 0; i < problem.sources.size(); ++i) {
    shared_[i] = shared_[i] || keys_overlap;
    const auto options = problem.query.options().dtype(shared_[i] ? problem.accumulate_dtype() : dtype_);
    sums_.push_back(empty_heads_inner(problem.sources[i].sizes(), options).zero_());
  }
}

void SourceGradients::add(const SourcePlace& place, const at::Tensor& contribution) {
  at::Tensor target = sums_[place.tensor]
                          .narrow(0, place.batch, contribution.size(0))
                          .narrow(1, place.head, contribution.size(1))
                          .narrow(2, place.key, contribution.size(2));
  if (shared_[place.tensor]) {
    target.add_(contribution);
  } else {
    target.copy_(contribution);
  }
}

std::vector<at::Tensor> SourceGradients::finish() {
  for (at::Tensor& sum : sums_) sum = sum.to(dtype_);
  return std::move(sums_);
}

}  // namespace skipattn::attention::cpu
