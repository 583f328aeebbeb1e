#include "skipattn/attention/cuda/merge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "skipattn/attention/cuda/views.h"

namespace skipattn::attention::cuda {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// How many parts have each KV head.
std::vector<int> count_parts(const std::vector<Part>& parts, int64_t kv_heads) {
  std::vector<int> counts(kv_heads);
  for (const Part& part : parts)
    for (int64_t i = 0; i < part.heads.count; ++i) ++counts[part.heads.at(i)];
  return counts;
}

at::Tensor grouped(const at::Tensor& tensor, const Part& part, int64_t group) {
  return tensor.unflatten(1, {part.heads.count, group});
}

/// exp(part - total), 0 where both are -inf.
at::Tensor weight_of(const at::Tensor& part, const at::Tensor& total) {
  return (part - total.masked_fill(total == -kInfinity, 0.0)).exp_();
}

}  // namespace

void merge_parts(const std::vector<Part>& parts, int64_t group, const Result& into) {
  const std::vector<int> counts = count_parts(parts, into.output.size(1) / group);
  const auto [fewest, most] = std::minmax_element(counts.begin(), counts.end());
  const auto view = [&](const at::Tensor& tensor, const Part& part) {
    return select_groups(tensor, part.heads, group);
  };
  at::Tensor total = into.logsumexp;
  if (*most <= 1) {
    if (*fewest == 0) {
      into.output.zero_();
      total.fill_(-kInfinity);
    }
    for (const Part& part : parts) {
      view(into.output, part).copy_(grouped(part.result.output, part, group));
      view(total, part).copy_(grouped(part.result.logsumexp, part, group));
    }
    return;
  }
  total.fill_(-kInfinity);
  for (const Part& part : parts) {
    at::Tensor sum = view(total, part);
    sum.copy_(at::logaddexp(sum, grouped(part.result.logsumexp, part, group)));
  }
  const at::Tensor mean = at::zeros_like(into.output, into.output.options().dtype(total.scalar_type()));
  for (const Part& part : parts) {
    const at::Tensor weight = weight_of(grouped(part.result.logsumexp, part, group), view(total, part));
    view(mean, part).addcmul_(grouped(part.result.output, part, group).to(mean.scalar_type()), weight.unsqueeze(-1));
  }
  into.output.copy_(mean);
}

}  // namespace skipattn::attention::cuda
