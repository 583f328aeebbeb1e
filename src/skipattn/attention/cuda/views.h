// Heads of a group as views of the tensors they lie in.
#pragma once

#include <ATen/core/Tensor.h>

#include "skipattn/attention/cuda/grouping.h"

namespace skipattn::attention::cuda {

/// Heads of a source: [B, heads, S, d] -> [B, count, S, d]. A step of 0 is a stride of 0.
at::Tensor select_heads(const at::Tensor& tensor, const HeadRange& range);

/// Query heads by KV head: [B, Hkv * group, T, …] -> [B, count, group, T, …].
at::Tensor select_groups(const at::Tensor& tensor, const HeadRange& range, int64_t group);

/// The same with the query heads in one dimension, [B, count * group, T, …]: a view, unless several query heads share a KV
/// head and the KV heads are not neighbours.
at::Tensor gather_queries(const at::Tensor& tensor, const HeadRange& range, int64_t group);

/// to = from, of one shape. Half-precision rows that allow it go sixteen bytes at a time: torch copies strided tensors element
/// by element.
void copy_rows(const at::Tensor& to, const at::Tensor& from);

}  // namespace skipattn::attention::cuda
