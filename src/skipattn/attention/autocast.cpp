// Under torch.autocast the operator works in autocast's dtype, as matrix products do.
#include <ATen/autocast_mode.h>

#include "skipattn/attention/registration.h"

namespace skipattn::attention {
namespace {

/// fp16, which no kernel of ours has, is worked in fp32 and given back as fp16. fp64 stays what it is, as in torch.
template <at::DeviceType device>
Result autocast_forward(const Problem& problem) {
  const c10::impl::ExcludeDispatchKeyGuard below_autocast(
      at::autocast::get_autocast_dispatch_key_from_device_type(device));
  const at::ScalarType wanted = at::autocast::get_autocast_dtype(device);
  const at::ScalarType dtype = wanted == at::kHalf ? at::kFloat : wanted;
  Problem cast = problem;
  cast.query = at::autocast::cached_cast(dtype, problem.query, device);
  for (at::Tensor& source : cast.sources) source = at::autocast::cached_cast(dtype, source, device);
  Result result = call_forward(cast);
  if (result.output.scalar_type() == at::kFloat) result.output = result.output.to(wanted);
  return result;
}

}  // namespace

TORCH_LIBRARY_IMPL(skipattn, AutocastCPU, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<autocast_forward<at::kCPU>>)));
}

TORCH_LIBRARY_IMPL(skipattn, AutocastCUDA, m) {
  m.impl("routed_attention", TORCH_FN((forward_kernel<autocast_forward<at::kCUDA>>)));
}

}  // namespace skipattn::attention
