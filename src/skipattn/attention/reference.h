// The definition of the operator in plain torch operations. Internal: the public name is
// routed_attention_reference.
#pragma once

#include "skipattn/attention/problem.h"

namespace skipattn::attention {

/// Differentiable by torch's own autograd. Holds the whole [T, S] score matrix of a KV head's query
/// heads.
Result reference_forward(const Problem& problem);

/// The gradients written out (softmax's derivative with the row sums of grad_output * output),
/// equally plain.
Gradients reference_backward(const Problem& problem, const BackwardInput& input);

/// The same, added to sums of the accumulating dtype and of the shapes of query and sources.
void reference_add_gradients(const Problem& problem, const BackwardInput& input, Gradients& sums);

/// Which keys each query sees: bool [B, 1, T, S].
at::Tensor visible_keys(const Problem& problem);

/// What dropout multiplies each weight by, 0 or 1 / (1 - p), over the query heads of one KV head
/// and the keys of one of its pairs: [B, H / Hkv, T, S], the definition's dtype.
at::Tensor dropout_factors(const Problem& problem, int64_t kv_head, int64_t pair);

}  // namespace skipattn::attention
