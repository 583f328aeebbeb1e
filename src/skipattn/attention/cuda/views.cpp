#include "skipattn/attention/cuda/views.h"

#include <ATen/ATen.h>

namespace skipattn::attention::cuda {
namespace {

/// Whether all rows begin at multiples of sixteen bytes and are as long.
bool is_in_sixteens(const at::Tensor& tensor) {
  const int64_t elements = 16 / tensor.element_size();
  if (tensor.dim() == 0 || tensor.stride(-1) != 1 || tensor.size(-1) % elements != 0) return false;
  for (int64_t i = 0; i + 1 < tensor.dim(); ++i)
    if (tensor.stride(i) % elements != 0) return false;
  return tensor.storage_offset() % elements == 0 && reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

}  // namespace

void copy_rows(const at::Tensor& to, const at::Tensor& from) {
  at::Tensor target = to;
  if (to.scalar_type() != at::kBFloat16 || from.scalar_type() != at::kBFloat16 || to.numel() == 0 ||
      !is_in_sixteens(to) || !is_in_sixteens(from)) {
    target.copy_(from);
    return;
  }
  target = to.view(at::kComplexDouble);
  target.copy_(from.view(at::kComplexDouble));
}

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
