#include "skipattn/data/loader.h"

#include <algorithm>
#include <stdexcept>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/core/text.h"
#include "skipattn/data/permutation.h"

namespace skipattn::data {

Order parse_order(const std::string& text) {
  if (text == "sequential") return Order::kSequential;
  if (text == "shuffled") return Order::kShuffled;
  throw InputError("order must be \"sequential\" or \"shuffled\", it is \"{}\"{}", text,
                   did_you_mean(text, {"sequential", "shuffled"}));
}

Loader::Loader(std::shared_ptr<const TokenFiles> corpus, const LoaderOptions& options)
    : corpus_(std::move(corpus)),
      options_(options),
      windows_(*corpus_, {options.context, options.stride, options.packing, options.min_document_tokens}) {
  FaultList faults;
  if (options.batch_size < 1) faults.add("batch_size must be 1 or more, it is {}", options.batch_size);
  if (options.vocab_size > 0 && corpus_->vocab_size() > options.vocab_size)
    faults.add("{} was made with a vocabulary of {} tokens, the model has {}", corpus_->description(),
               corpus_->vocab_size(), options.vocab_size);
  if ((options.document_mask || options.reset_positions) && !corpus_->documents_known())
    faults.add(
        "{} does not say where documents begin, which document_mask and reset_positions need: set "
        "end_of_text",
        corpus_->description());
  faults.throw_if_any("");
}

uint64_t Loader::window_of(int64_t sequence) const {
  if (sequence < 0) throw std::out_of_range("Loader: a sequence before the first");
  const uint64_t count = windows_.count();
  const uint64_t epoch = static_cast<uint64_t>(sequence) / count;
  const uint64_t place = static_cast<uint64_t>(sequence) % count;
  if (options_.order == Order::kSequential) return place;
  return Permutation(count, derive_seed(options_.seed, fmt::format("order of epoch {}", epoch)))(place);
}

Batch Loader::sequences(int64_t first, int64_t count) const {
  Batch batch;
  batch.rows = count;
  batch.context = options_.context;
  const auto size = static_cast<size_t>(count * options_.context);
  batch.tokens.resize(size);
  batch.targets.resize(size);
  if (options_.document_mask) batch.first_key.resize(size);
  if (options_.reset_positions) batch.positions.resize(size);
  if (options_.document_positions) batch.document_positions.resize(size);
  const bool documents = options_.document_mask || options_.reset_positions || options_.document_positions;
  std::vector<Windows::Piece> pieces;
  for (int64_t row = 0; row < count; ++row) {
    windows_.pieces(window_of(first + row), pieces);
    fill_row(pieces, row, batch);
    if (documents) fill_documents(pieces, row, batch);
  }
  return batch;
}

void Loader::fill_row(const std::vector<Windows::Piece>& pieces, int64_t row, Batch& batch) const {
  const auto context = static_cast<size_t>(options_.context);
  std::vector<int64_t> window(context + 1);
  size_t filled = 0;
  for (const Windows::Piece& piece : pieces) {
    corpus_->copy(piece.begin, piece.count, window.data() + filled);
    filled += piece.count;
  }
  if (options_.vocab_size > 0 && *std::max_element(window.begin(), window.end()) >= options_.vocab_size)
    fail_vocabulary(pieces);
  const auto offset = row * options_.context;
  std::copy_n(window.begin(), context, batch.tokens.begin() + offset);
  std::copy_n(window.begin() + 1, context, batch.targets.begin() + offset);
}

void Loader::fill_documents(const std::vector<Windows::Piece>& pieces, int64_t row, Batch& batch) const {
  const auto context = static_cast<uint64_t>(options_.context);
  auto index = static_cast<size_t>(row * options_.context);
  uint64_t in_window = 0;
  for (const Windows::Piece& piece : pieces) {
    uint64_t document = corpus_->document_at(piece.begin);
    uint64_t start = corpus_->document_start(document);
    uint64_t end = corpus_->document_start(document + 1);
    // Where the document begins in the window; a document that was there before it begins at 0.
    uint64_t start_in_window = in_window;
    for (uint64_t i = 0; i < piece.count && in_window < context; ++i, ++in_window, ++index) {
      const uint64_t token = piece.begin + i;
      if (token == end) {
        start = end;
        end = corpus_->document_start(++document + 1);
        start_in_window = in_window;
      }
      if (options_.document_mask) batch.first_key[index] = static_cast<int32_t>(start_in_window);
      if (options_.reset_positions) batch.positions[index] = static_cast<int64_t>(in_window - start_in_window);
      if (options_.document_positions) batch.document_positions[index] = static_cast<int64_t>(token - start);
    }
  }
}

void Loader::fail_vocabulary(const std::vector<Windows::Piece>& pieces) const {
  for (const Windows::Piece& piece : pieces)
    for (uint64_t token = piece.begin; token < piece.begin + piece.count; ++token) {
      int64_t id = 0;
      corpus_->copy(token, 1, &id);
      if (id >= options_.vocab_size)
        throw InputError("{} is {}, the model's vocabulary has only {} tokens", corpus_->describe_place(token), id,
                         options_.vocab_size);
    }
  throw std::logic_error("Loader: the corpus changed while it was read");
}

}  // namespace skipattn::data
