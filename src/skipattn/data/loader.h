// Batches of sequences for training and evaluation. A batch is a pure function of (corpus, options,
// step): nothing is drawn from a state that moves, so resuming at any step, splitting a batch into
// micro-batches, and any number of threads or processes all see the same sequences.
//
//   const Loader loader(corpus, {.context = 1024, .batch_size = 8, .order = Order::kShuffled});
//   const Batch batch = loader.get(step);                  // tokens and targets [8, 1024]
//   const Batch first_half = loader.get_rows(step, 0, 4);  // rows 0..3 of it
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "skipattn/data/token_files.h"
#include "skipattn/data/windows.h"

namespace skipattn::data {

/// In which order windows follow each other.
enum class Order {
  kSequential,  ///< window 0, 1, 2, …, then from the start again
  kShuffled,    ///< every epoch a new permutation of all windows, drawn from (seed, epoch)
};

/// "sequential" or "shuffled"; throws InputError naming both.
Order parse_order(const std::string& text);

struct LoaderOptions {
  int64_t context = 1024;  ///< T, tokens of a sequence, 1 or more
  int64_t batch_size = 1;  ///< B, sequences of a step, 1 or more
  Order order = Order::kSequential;
  uint64_t seed = 0;                   ///< of the order; sequential order ignores it
  Packing packing = Packing::kStream;  ///< see windows.h
  int64_t min_document_tokens = 0;     ///< see windows.h
  int64_t stride = 0;                  ///< see windows.h; 0: context
  int64_t vocab_size = 0;              ///< ids must be below it; 0: not checked
  bool document_mask = false;          ///< fill Batch::first_key
  bool reset_positions = false;        ///< fill Batch::positions
  bool document_positions = false;     ///< fill Batch::document_positions
};

/// Row-major [rows, context]. What was not asked for is empty.
struct Batch {
  int64_t rows = 0;
  int64_t context = 0;
  std::vector<int64_t> tokens;
  /// The token after each: the first token of the next document where a document ends inside the
  /// window.
  std::vector<int64_t> targets;
  /// The earliest key (0..context-1 in the window) each position may see: where its document
  /// begins, 0 if before.
  std::vector<int32_t> first_key;
  /// Position to give the model: 0, 1, … from the window's begin, again from 0 at each document's
  /// begin.
  std::vector<int64_t> positions;
  /// Position in the document, counted from its true begin, which may lie before the window.
  std::vector<int64_t> document_positions;
};

class Loader {
 public:
  /// Throws InputError when no window can be made (windows.h), a document's begin is asked for and
  /// not known, or the corpus' vocabulary is larger than vocab_size.
  Loader(std::shared_ptr<const TokenFiles> corpus, const LoaderOptions& options);

  const LoaderOptions& options() const { return options_; }
  const TokenFiles& corpus() const { return *corpus_; }
  /// Windows of one epoch.
  int64_t windows() const { return static_cast<int64_t>(windows_.count()); }

  /// The batch of a step (0 or more): sequences step·B … step·B + B − 1.
  Batch get(int64_t step) const { return sequences(step * options_.batch_size, options_.batch_size); }
  /// Rows [first, first + count) of that batch.
  Batch get_rows(int64_t step, int64_t first, int64_t count) const {
    return sequences(step * options_.batch_size + first, count);
  }
  /// `count` sequences from sequence `first` on, counted over all epochs. Throws InputError for an
  /// id ≥ vocab_size.
  Batch sequences(int64_t first, int64_t count) const;
  /// Which window a sequence is.
  uint64_t window_of(int64_t sequence) const;

 private:
  void fill_row(const std::vector<Windows::Piece>& pieces, int64_t row, Batch& batch) const;
  void fill_documents(const std::vector<Windows::Piece>& pieces, int64_t row, Batch& batch) const;
  [[noreturn]] void fail_vocabulary(const std::vector<Windows::Piece>& pieces) const;

  std::shared_ptr<const TokenFiles> corpus_;
  LoaderOptions options_;
  Windows windows_;
};

}  // namespace skipattn::data
