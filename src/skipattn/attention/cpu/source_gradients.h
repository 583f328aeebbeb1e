// Sums what tiles contribute to the gradients of the sources. bf16 sources that get more than one
// contribution anywhere are summed in fp32 and rounded once.
#pragma once

#include "skipattn/attention/problem.h"

namespace skipattn::attention::cpu {

/// A place in the gradients: heads [head, head + n), keys [key, key + k), batch elements [batch,
/// batch + b), where the contribution is [b, n, k, d].
struct SourcePlace {
  int64_t tensor = 0;
  int64_t head = 0;
  int64_t batch = 0;
  int64_t key = 0;
};

class SourceGradients {
 public:
  /// `keys_overlap`: a pair may contribute more than once to the same key.
  SourceGradients(const Problem& problem, bool keys_overlap);

  void add(const SourcePlace& place, const at::Tensor& contribution);
  /// One tensor per source, its shape and dtype, heads inner in memory.
  std::vector<at::Tensor> finish();

 private:
  std::vector<at::Tensor> sums_;
  std::vector<bool> shared_;  ///< may get several contributions to one element
  at::ScalarType dtype_;
};

}  // namespace skipattn::attention::cpu
