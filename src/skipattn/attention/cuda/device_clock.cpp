#include "skipattn/attention/cuda/device_clock.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace skipattn::attention::cuda {
namespace {

thread_local int forbidden = 0;

c10::Stream current_stream() {
  const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
  return guard.getStream(guard.getDevice());
}

/// False where this version of torch cannot tell.
template <typename Stream>
bool is_capturing(const Stream& stream) {
  if constexpr (requires { stream.is_capturing(); })
    return stream.is_capturing();
  else
    return false;
}

}  // namespace

bool DeviceClock::is_ready() const {
  return forbidden == 0 && !is_capturing(current_stream());
}

double DeviceClock::milliseconds(const std::function<void()>& work) {
  const c10::Stream stream = current_stream();
  c10::Event begin(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);  // with times
  c10::Event end(c10::DeviceType::CUDA, c10::EventFlag::BACKEND_DEFAULT);
  begin.record(stream);
  work();
  end.record(stream);
  end.synchronize();
  return begin.elapsedTime(end);
}

NoMeasuring::NoMeasuring() {
  ++forbidden;
}
NoMeasuring::~NoMeasuring() {
  --forbidden;
}

}  // namespace skipattn::attention::cuda
