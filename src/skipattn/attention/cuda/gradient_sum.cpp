#include "skipattn/attention/cuda/gradient_sum.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "skipattn/attention/cuda/views.h"
#include "skipattn/attention/problem.h"

namespace skipattn::attention::cuda {

GradientSum::GradientSum(const at::Tensor& like, GradientTarget target, std::vector<int> expected)
    : like_(like), target_(std::move(target)), finishes_(target_.finished.defined() || !target_.sum.defined()) {
  for (const int count : expected) heads_.push_back({.left = count, .begun = target_.sum.defined() && target_.begun});
}

const at::Tensor& GradientSum::sum() {
  if (!target_.sum.defined())
    target_.sum = at::empty_like(finished(), like_.options().dtype(accumulate_dtype(like_.scalar_type())));
  return target_.sum;
}

const at::Tensor& GradientSum::finished() {
  if (!target_.finished.defined()) target_.finished = empty_heads_inner(like_.sizes(), like_.options());
  return target_.finished;
}

/// A contribution that is the whole gradient need not be copied where nobody has said where it should go.
bool GradientSum::adopt(const HeadRange& heads, const at::Tensor& contribution) {
  if (target_.finished.defined() || heads != HeadRange{0, 1, like_.size(1)}) return false;
  target_.finished = with_heads_inner(contribution);
  return true;
}

/// Of heads that are all in one state.
void GradientSum::add_alike(const HeadRange& heads, const at::Tensor& contribution) {
  const int left = heads_[heads.first].left;
  const bool begun = heads_[heads.first].begun, last = left == 1 && finishes_;
  const auto at = [&](const at::Tensor& tensor) { return select_heads(tensor, heads); };
  if (last) {
    if (begun) {
      at::Tensor place = at(finished());
      at::add_out(place, at(sum()), contribution);
    } else if (!adopt(heads, contribution)) {
      copy_rows(at(finished()), contribution);
    }
  } else {
    begun ? at(sum()).add_(contribution) : at(sum()).copy_(contribution);
  }
  for (int64_t i = 0; i < heads.count; ++i) heads_[heads.at(i)] = {.left = left - 1, .begun = true, .written = last};
}

void GradientSum::add(const HeadRange& heads, const at::Tensor& contribution) {
  if (heads.step == 0 && heads.count > 1) {
    add({heads.first, 1, 1}, contribution.sum(1, /*keepdim=*/true, accumulate_dtype(like_.scalar_type())));
    return;
  }
  bool alike = true;
  for (int64_t i = 1; i < heads.count; ++i) alike = alike && heads_[heads.at(i)] == heads_[heads.first];
  if (alike) {
    add_alike(heads, contribution);
    return;
  }
  for (int64_t i = 0; i < heads.count; ++i) add_alike({heads.at(i), 1, 1}, contribution.narrow(1, i, 1));
}

at::Tensor GradientSum::finish() {
  for (size_t head = 0; head < heads_.size(); ++head) {
    if (heads_[head].written) continue;
    const auto at = [&](const at::Tensor& tensor) { return tensor.select(1, static_cast<int64_t>(head)); };
    if (finishes_)
      heads_[head].begun ? at(finished()).copy_(at(sum())) : at(finished()).zero_();
    else if (!heads_[head].begun)
      at(sum()).zero_();
  }
  return target_.finished;
}

}  // namespace skipattn::attention::cuda
