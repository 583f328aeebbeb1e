// What first_key lets queries see, in the forms that fused kernels know: whole sequences, a sliding window, documents, or
// none of these. Finding the form needs the numbers on the host: once a first_key tensor, not once a layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "skipattn/attention/routed_attention.h"

namespace skipattn::attention::cuda {

struct KeyPattern {
  enum class Kind {
    kSequences,  ///< a query sees the keys of its batch element, up to its own if causal
    kDocuments,  ///< … those of its document (causal, S = T)
    kAny,        ///< only first_key can tell
  };
  Kind kind = Kind::kSequences;
  int64_t window = 0;  ///< … and only the last so many of these, its own included; 0: all. kSequences and kDocuments
  at::Tensor starts =
      {};               ///< kDocuments: int32 [documents + 1], where each begins among the B * T tokens, then B * T, on
                        ///< first_key's device. May end with repetitions of B * T (documents without tokens)
  int64_t longest = 0;  ///< kDocuments: tokens of the longest one, or more
  at::Tensor first_key = {};  ///< int32 [B, T]; undefined: none was given
};

/// The pattern of first_key [B, T] (any device; waits for it) over S keys. Documents and windows may come together.
KeyPattern find_key_pattern(const at::Tensor& first_key, int64_t keys, bool causal);

/// What a call's maker knows of its documents.
struct DocumentStarts {
  at::Tensor starts = {};  ///< KeyPattern::starts; undefined: there are none
  int64_t longest = 0;     ///< KeyPattern::longest
};

/// The pattern where it is known and nothing need be read, as a CUDA graph needs it, for causal attention of T queries over
/// as many keys. window: KeyPattern's; first_key, int32 [B, T], says the same, for what knows no patterns.
KeyPattern known_key_pattern(int64_t queries, int64_t window, const at::Tensor& first_key,
                             const DocumentStarts& documents);

/// The pattern of a call's options, found once for a tensor and kept while the tensor is not written to.
std::shared_ptr<const KeyPattern> key_pattern_of(const Options& options, int64_t keys);

}  // namespace skipattn::attention::cuda
