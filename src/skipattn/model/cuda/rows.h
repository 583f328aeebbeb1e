// How kernels that norm rows cut them: a block for a row, each thread with a few packs of neighbours in registers.
#pragma once

#include <algorithm>
#include <type_traits>

#include "skipattn/core/cuda/elements.h"

namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE {

using skipattn::cuda::Bf16;
using skipattn::cuda::Grid;
using skipattn::cuda::launch;
using skipattn::cuda::Stream;
using skipattn::cuda::with_type;

/// Threads for rows of `width` elements, `pack` neighbours at a time, and how many packs each of them holds.
struct RowCut {
  int threads = 0;
  int packs = 0;  ///< 1, 2, 4 or 8
};
inline RowCut cut_row(int64_t width, int pack) {
  const int64_t needed = (width + pack - 1) / pack;
  for (const int64_t most : {256, 512, 1024}) {
    const int64_t threads = std::min<int64_t>(most, (needed + 31) / 32 * 32);
    for (const int packs : {1, 2, 4, 8})
      if (threads * packs >= needed) return {static_cast<int>(threads), packs};
  }
  throw RunError("rows of {} elements are too wide for the norm's CUDA kernel", width);
}

/// Calls task(kPack, kPacks), both std::integral_constant.
template <typename Task>
void with_row_cut(int64_t width, bool packs_fit, const Task& task) {
  const auto with_packs = [&](auto pack) {
    const RowCut cut = cut_row(width, pack);
    const auto call = [&](auto packs) { task(pack, packs, cut.threads); };
    switch (cut.packs) {
      case 1:
        return call(std::integral_constant<int, 1>());
      case 2:
        return call(std::integral_constant<int, 2>());
      case 4:
        return call(std::integral_constant<int, 4>());
      default:
        return call(std::integral_constant<int, 8>());
    }
  };
  packs_fit ? with_packs(std::integral_constant<int, 4>()) : with_packs(std::integral_constant<int, 1>());
}

}  // namespace skipattn::model::SKIPATTN_CUDA_NAMESPACE
