// Waiting for work that a device does beside the program.
#pragma once

#include <c10/core/Device.h>

namespace skipattn::analysis {

/// Returns when everything given to the device is done; at once on the CPU.
void wait_for(c10::Device device);

}  // namespace skipattn::analysis
