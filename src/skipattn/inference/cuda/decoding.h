// The kernels of ../card_kernels.h.
#pragma once

#include "skipattn/core/cuda/launch.h"
#include "skipattn/inference/card_kernels.h"

namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE {

void append_to_cache(const CardAppend& call, skipattn::cuda::Stream stream);
void attend_to_cache(const CardAttend& call, skipattn::cuda::Stream stream);

}  // namespace skipattn::inference::SKIPATTN_CUDA_NAMESPACE
