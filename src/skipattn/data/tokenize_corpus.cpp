#include "skipattn/data/tokenize_corpus.h"

#include <chrono>
#include <future>
#include <optional>

#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/data/token_writer.h"
#include "skipattn/tokenizer/encode_batch.h"

namespace skipattn::data {

namespace {

using PieceBatch = std::vector<PlacedPiece>;

PieceBatch read_batch(DocumentReader& reader, HoldOut& hold_out, uint64_t bytes) {
  PieceBatch batch;
  DocumentPiece piece;
  for (uint64_t held = 0; held < bytes && reader.next(piece);) {
    held += piece.text.size();
    for (PlacedPiece& part : hold_out.place(std::move(piece))) batch.push_back(std::move(part));
  }
  return batch;
}

// Puts documents, piece by piece, into one of two files.
class SplitWriter {
 public:
  SplitWriter(const TokenizeOptions& options, const TokenMeaning& meaning)
      : options_(options), train_(options.train, meaning) {
    if (options.val_fraction > 0) val_.emplace(options.val, meaning);
  }

  void add(const PlacedPiece& placed, const std::vector<uint32_t>& ids) {
    const DocumentPiece& piece = placed.piece;
    if (piece.begins) {
      target_ = placed.held_out ? &*val_ : &train_;
      bytes_ = 0;
    }
    bytes_ += piece.text.size();
    target_->append(ids);
    if (piece.ends) target_->end_document(bytes_);
  }

  uint64_t tokens() const { return train_.info().tokens + (val_ ? val_->info().tokens : 0); }

  void commit(TokenizeResult& result) {
    const uint64_t documents = train_.info().documents + (val_ ? val_->info().documents : 0);
    if (documents == 0) throw InputError("there is no text in '{}'", join(options_.inputs, "', '"));
    if (train_.info().documents == 0 || (val_ && val_->info().documents == 0))
      throw InputError(
          "holding out {} of {} documents leaves {} without any: give more documents (a document "
          "is never split), "
          "another fraction or another seed",
          options_.val_fraction, documents,
          train_.info().documents == 0 ? options_.train.string() : options_.val.string());
    if (val_) val_->commit();
    train_.commit();
    result.train = train_.info();
    if (val_) result.val = val_->info();
  }

 private:
  const TokenizeOptions& options_;
  TokenFileWriter train_;
  std::optional<TokenFileWriter> val_;
  TokenFileWriter* target_ = nullptr;
  uint64_t bytes_ = 0;
};

std::vector<std::vector<uint32_t>> encode(const tokenizer::Tokenizer& tokenizer, const PieceBatch& batch, int threads) {
  std::vector<tokenizer::TextPart> parts;
  for (const PlacedPiece& placed : batch) parts.push_back({placed.piece.text, placed.piece.begins});
  return tokenizer::encode_parts(tokenizer, parts, threads);
}

}  // namespace

std::filesystem::path validation_path(const std::filesystem::path& train) {
  std::string stem = train.stem().string();
  const size_t place = stem.rfind("train");
  if (place == std::string::npos) {
    stem += "-val";
  } else {
    stem.replace(place, 5, "val");
  }
  return train.parent_path() / (stem + train.extension().string());
}

TokenizeResult tokenize_corpus(const TokenizeOptions& options, const tokenizer::Tokenizer& tokenizer,
                               const ProgressSink& progress) {
  if (!(options.val_fraction >= 0 && options.val_fraction < 1))
    throw InputError("the share of documents held out must be from 0 to below 1, it is {}", options.val_fraction);
  DocumentReaderOptions reading = options.reading;
  if (!reading.safe_cut)
    reading.safe_cut = [&](std::string_view text, size_t position) { return tokenizer.safe_cut(text, position); };
  DocumentReader reader(options.inputs, reading);
  HoldOut hold_out(options.inputs, options.seed, options.val_fraction);
  TokenMeaning meaning{tokenizer.vocab_size(), tokenizer.hash(), std::nullopt};
  if (tokenizer.end_of_text()) meaning.end_of_text = *tokenizer.end_of_text();
  SplitWriter writer(options, meaning);
  const auto began = std::chrono::steady_clock::now();
  const auto tell = [&](uint64_t done, bool finished) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const auto tokens = static_cast<double>(writer.tokens());
    const std::string detail =
        fmt::format("{} tokens · {} tokens/s", short_count(tokens), short_count(tokens / std::max(seconds, 1e-9)));
    const auto total = static_cast<double>(reader.file_bytes_total());
    report(progress, {"tokenize", static_cast<double>(done), total, "bytes", detail, finished});
  };
  PieceBatch batch = read_batch(reader, hold_out, options.batch_bytes);
  while (!batch.empty()) {
    if (stop_requested()) throw Stopped("tokenize was stopped; nothing was written");
    const uint64_t done = reader.file_bytes_read();
    auto next = std::async(std::launch::async, [&] { return read_batch(reader, hold_out, options.batch_bytes); });
    const auto ids = encode(tokenizer, batch, options.threads);
    for (size_t i = 0; i < batch.size(); ++i) writer.add(batch[i], ids[i]);
    tell(done, false);
    batch = next.get();
  }
  TokenizeResult result;
  writer.commit(result);
  result.files = reader.files();
  tell(reader.file_bytes_read(), true);
  return result;
}

}  // namespace skipattn::data
