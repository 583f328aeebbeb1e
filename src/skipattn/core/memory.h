// What this process takes of the machine, from /proc.
#pragma once

#include <cstdint>

namespace skipattn {

/// Peak resident size since the start or the last reset, bytes; 0 where /proc does not say.
int64_t peak_resident_bytes();
/// Starts the peak anew from the present size (Linux; elsewhere it does nothing).
void reset_peak_resident();
/// Pages that this process has touched for the first time (or again after giving them back) since its start.
int64_t minor_page_faults();

}  // namespace skipattn
