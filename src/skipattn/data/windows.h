// Which tokens each training or evaluation sequence consists of. A window is context + 1 tokens:
// the inputs, and the targets one place on. No order and no batches here (loader.h), only "window i
// is these ranges of the corpus".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "skipattn/data/token_files.h"

namespace skipattn::data {

/// How documents are laid into windows.
enum class Packing {
  kStream,     ///< documents one after another; a window may hold the end of one and the beginning of
               ///< the next
  kDocuments,  ///< every window lies inside one document; what is left at a document's end is not
               ///< used
};

/// "stream" or "documents"; throws InputError naming both.
Packing parse_packing(const std::string& text);

struct WindowOptions {
  int64_t context = 1024;  ///< T, 1 or more
  int64_t stride = 0;      ///< tokens from one window's begin to the next one's; 0: context
  Packing packing = Packing::kStream;
  int64_t min_document_tokens = 0;  ///< shorter documents (end-of-text token included) are left out
};

/// Windows of a corpus, in the corpus' order.
/// kStream: the kept documents are joined in their order into one stream of N tokens; window i is
/// [i·stride, i·stride + context + 1) of it, for every i where that fits: ⌊(N − 1)/context⌋ windows
/// at the usual stride. kDocuments: the same inside each kept document of n ≥ context + 1 tokens,
/// document by document. Memory: 16 bytes for every run of kept documents (kStream) or kept
/// document (kDocuments), nothing when all are kept.
class Windows {
 public:
  /// A range of the corpus.
  struct Piece {
    uint64_t begin = 0;
    uint64_t count = 0;
  };

  /// Throws InputError naming the corpus when there is no window: too few tokens, no document long
  /// enough, or boundaries that are needed but not known. `corpus` must outlive this object.
  Windows(const TokenFiles& corpus, const WindowOptions& options);

  uint64_t count() const { return count_; }
  /// The ranges that make up window `index`, in order, together context + 1 tokens. Every range
  /// after the first begins where a document begins.
  void pieces(uint64_t index, std::vector<Piece>& out) const;

 private:
  // A run of tokens used without a gap: from `begin` of the corpus, `key` being what comes before
  // it, in tokens (kStream) or in windows (kDocuments).
  struct Run {
    uint64_t key = 0;
    uint64_t begin = 0;
  };

  uint64_t windows_in(uint64_t tokens) const;
  void keep_documents();
  [[noreturn]] void fail(uint64_t kept_tokens) const;

  const TokenFiles& corpus_;
  WindowOptions options_;
  std::vector<Run> runs_;
  uint64_t count_ = 0;
};

}  // namespace skipattn::data
