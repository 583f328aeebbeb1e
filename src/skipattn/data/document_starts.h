// Where documents begin in a batch, as attention kernels want it that go through documents one by one.
#pragma once

#include <cstdint>
#include <vector>

#include "skipattn/data/loader.h"

namespace skipattn::data {

/// Of rows [row, row + count): where each document (or the part of one that a row begins with) starts among their count * T
/// tokens, rising from 0. The batch must have its first keys.
std::vector<int32_t> document_starts(const Batch& batch, int64_t row, int64_t count);

}  // namespace skipattn::data
