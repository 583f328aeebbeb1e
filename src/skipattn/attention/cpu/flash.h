// Routed attention on our own kernels, for callers that keep their buffers: outputs are given, packed panels can be
// kept for the layers that read the same source again, and gradients of sources read by several layers are summed in
// fp32 as they come. The operator (dispatch.cpp) calls the same functions with buffers of the moment.
//
// Forward: O = softmax(scale * Q K^T) V in one pass over the keys (FlashAttention, arXiv 2205.14135), backward with the
// chunks of keys outside. Results are bit for bit the same for any number of threads.
#pragma once

#include <vector>

#include "skipattn/attention/cpu/buffer.h"
#include "skipattn/attention/cpu/kernels/kernels.h"
#include "skipattn/attention/problem.h"

namespace skipattn::attention::cpu {

class PackJobs;

/// Packed forms of one source tensor [B, heads, S, d], all heads, made when first needed. Valid while the tensor's
/// numbers do not change: forget() when they do.
class Panels {
 public:
  void forget();

  /// Where they are packed from now on, panel_bytes() each; null: in a buffer of the pool.
  void lie_in(void* rows, void* pairs);

  /// Room for the panels, and what must be packed into them as jobs; nothing when they are there.
  void want_rows(const at::Tensor& source, const KernelTable& kernels, PackJobs& jobs);
  void want_pairs(const at::Tensor& source, const KernelTable& kernels, PackJobs& jobs);

  /// [B][heads] panels one after the other.
  const uint32_t* rows() const { return rows_.words(); }
  const uint32_t* pairs() const { return pairs_.words(); }

 private:
  Buffer rows_, pairs_;
  void *rows_memory_ = nullptr, *pairs_memory_ = nullptr;
};

/// Bytes of a source's panels in one of their two forms.
struct PanelBytes {
  int64_t rows = 0;   ///< keys in both passes, values in the backward pass
  int64_t pairs = 0;  ///< values in the forward pass, keys in the backward pass
};
PanelBytes panel_bytes(const KernelTable& kernels, at::IntArrayRef source_sizes);  // [B, heads, S, d]

/// Words of one head's panel of `keys` rows.
int64_t rows_panel_words(const Geometry& geometry, int64_t keys);
int64_t pairs_panel_words(const Geometry& geometry, int64_t keys);
Geometry make_geometry(const KernelTable& kernels, int64_t head_width);

/// Where the gradient of one source tensor goes. A head that one pair reads once needs `out` alone; a head with several
/// readers, in this call or (other layers) in calls before and after, is summed in `sum` and rounded to `out` once.
struct SourceGradient {
  at::Tensor out = {};  ///< [B, heads, S, d], query's dtype, unit stride in d; heads without readers are left alone
  at::Tensor sum = {};  ///< fp32, like out; undefined: made here when a head has several readers in this call
  std::vector<char> begun = {};       ///< [heads] sum holds what earlier calls added; empty: none
  std::vector<char> unfinished = {};  ///< [heads] later calls will add more, so `out` is not written; empty: none
};

/// Tensors of a backward call besides the problem. All [B, H, T, d] with unit stride in d.
struct FlashBackward {
  at::Tensor grad_output, output;
  at::Tensor logsumexp;                      ///< fp32 [B, H, T], dense
  at::Tensor grad_query;                     ///< written
  std::vector<SourceGradient> sources = {};  ///< one per source
};

/// `panels`: one per source, or empty. result: output [B, H, T, d] with unit stride in d, logsumexp fp32 dense.
void flash_forward(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
                   const Result& result);
void flash_backward(const Problem& problem, const KernelTable& kernels, const std::vector<Panels*>& panels,
                    FlashBackward& call);

}  // namespace skipattn::attention::cpu
