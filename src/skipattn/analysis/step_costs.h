// FLOPs and bytes of one step of training, of reading a prompt, or of decoding: counted from the plan, not measured.
//
//   const StepFlops flops = training_flops(decoder.plan(), decoder.config().dimensions(), {.batch = 4, .context = 1024});
//   const double best_seconds = flops.total() / gemm_flops_per_second;
//
// FLOPs are the matrix products that are really done, 2 for a multiplication and its addition; training counts them
// three times and attention 3.5 times; recomputation is not counted (docs/commands/profile.md).
#pragma once

#include <cstdint>
#include <string>

#include "skipattn/routing/costs.h"
#include "skipattn/routing/plan.h"

namespace skipattn::analysis {

/// FLOPs of one step by kind.
struct StepFlops {
  double matrix_products = 0;  ///< of the layers
  double attention = 0;        ///< scores and weighted sums, keys really attended
  double vocabulary_head = 0;
  double total() const { return matrix_products + attention + vocabulary_head; }
};

/// What a step works on.
struct StepSize {
  int64_t batch = 1;    ///< B, sequences side by side
  int64_t context = 1;  ///< T; decoding: tokens that the token read sees, itself included
};

/// Forward and backward over B sequences of T tokens.
StepFlops training_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size);
/// Forward over B prompts of T tokens; the vocabulary head runs for the last token of each alone.
StepFlops prefill_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size);
/// Forward over one token for each of B rows, the T-th of its row.
StepFlops decode_flops(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size);

/// What the numbers that a decoding step reads are kept in.
struct DecodeDtypes {
  int64_t weight_bytes = 2;          ///< bytes of one weight
  std::string cache_dtype = "bf16";  ///< as routing::cache_bytes_per_element() takes it
};

/// Bytes that one decoding step must read at least: every matrix once and every live key and value in the cache that
/// some layer still sees once, for all rows.
double decode_bytes(const routing::Plan& plan, const routing::Dimensions& dimensions, StepSize size,
                    const DecodeDtypes& dtypes);

}  // namespace skipattn::analysis
