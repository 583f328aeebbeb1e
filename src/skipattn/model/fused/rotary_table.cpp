#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "skipattn/model/fused/rotary.h"

namespace skipattn::model::fused {

at::Tensor rotary_table(int64_t positions, const std::vector<double>& frequencies) {
  const auto half = static_cast<int64_t>(frequencies.size());
  const at::Tensor table = at::empty({positions, 2, half}, at::kFloat);
  auto* to = table.data_ptr<float>();
  at::parallel_for(0, positions, 64, [&](int64_t begin, int64_t end) {
    for (int64_t position = begin; position < end; ++position) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * frequencies[i];
        to[(2 * position) * half + i] = static_cast<float>(std::cos(angle));
        to[(2 * position + 1) * half + i] = static_cast<float>(std::sin(angle));
      }
    }
  });
  return table;
}

}  // namespace skipattn::model::fused
