#include <ATen/ATen.h>

#include "skipattn/model/cpu/kernels.h"

namespace skipattn::model::cpu {

void column_sums(const at::Tensor& matrix, const at::Tensor& sums, bool add) {
  const at::Tensor found = matrix.sum(0, /*keepdim=*/false, at::kFloat);
  add ? sums.add_(found) : sums.copy_(found);
}

}  // namespace skipattn::model::cpu
