// Measures work on the current stream of the current CUDA device with the device's own events.
#pragma once

#include "skipattn/attention/cuda/choice.h"

namespace skipattn::attention::cuda {

class DeviceClock final : public Clock {
 public:
  bool is_ready() const override;
  double milliseconds(const std::function<void()>& work) override;
};

/// While one lives, this thread measures nothing: for who captures a CUDA graph (torch before 2.13 does not tell).
class NoMeasuring {
 public:
  NoMeasuring();
  ~NoMeasuring();
  NoMeasuring(const NoMeasuring&) = delete;
  NoMeasuring& operator=(const NoMeasuring&) = delete;
};

}  // namespace skipattn::attention::cuda
