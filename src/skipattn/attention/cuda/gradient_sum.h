// The gradient of one tensor, to which calls, and other layers before and after, add head by head: the first contribution
// sets, later ones are added in fp32, the last one's sum is rounded into place. Heads with one contribution are written once.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "skipattn/attention/cuda/grouping.h"

namespace skipattn::attention::cuda {

/// Where a gradient goes; dimension 1 is that of heads.
struct GradientTarget {
  at::Tensor sum = {};  ///< accumulating dtype: what several layers add up; undefined: this problem alone contributes
  bool begun = false;   ///< sum holds what layers before have added
  at::Tensor finished = {};  ///< takes the whole gradient; undefined beside a sum: layers after add more;
                             ///< undefined without one: made by GradientSum
};

class GradientSum {
 public:
  /// `like`: the tensor whose gradient it is, [B, heads, S, d]. `expected`: how many contributions each head will get.
  GradientSum(const at::Tensor& like, GradientTarget target, std::vector<int> expected);

  /// contribution [B, heads.count, S, d]. A step of 0: all of it belongs to one head.
  void add(const HeadRange& heads, const at::Tensor& contribution);

  /// After all contributions: sees to heads that got none; the finished gradient, heads inner in memory where it was made
  /// here, or undefined where layers after add more.
  at::Tensor finish();

 private:
  struct Head {
    int left = 0;          // contributions to come
    bool begun = false;    // the sum holds some
    bool written = false;  // the whole gradient is in its place
    bool operator==(const Head&) const = default;
  };

  void add_alike(const HeadRange& heads, const at::Tensor& contribution);
  bool adopt(const HeadRange& heads, const at::Tensor& contribution);
  const at::Tensor& sum();
  const at::Tensor& finished();

  at::Tensor like_;
  GradientTarget target_;
  bool finishes_;
  std::vector<Head> heads_;
};

}  // namespace skipattn::attention::cuda
