#include "skipattn/attention/cuda/views.h"

#include <ATen/ATen.h>

namespace skipattn::attention::cuda {

at::Tensor select_heads(const at::Tensor& tensor, const HeadRange& range) {
  if (range.step > 0 || range.count <= 1)
    return tensor.slice(1, range.first, range.at(range.count - 1) + 1, std::max<int64_t>(range.step, 1));
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes[1] = range.count;
  return tensor.narrow(1, range.first, 1).expand(sizes);
}

at::Tensor select_groups(const at::Tensor& tensor, const HeadRange& range, int64_t group) {
  return select_heads(tensor.unflatten(1, {tensor.size(1) / group, group}), range);
}

at::Tensor gather_queries(const at::Tensor& tensor, const HeadRange& range, int64_t group) {
  return select_groups(tensor, range, group).flatten(1, 2);
}

}  // namespace skipattn::attention::cuda
