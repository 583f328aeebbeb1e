// Documents to token files: what `skipattn tokenize` does. Text streams through in batches of some
// megabytes, so that memory does not depend on the corpus; reading and unpacking run beside
// tokenizing.
//
//   TokenizeOptions options{.inputs = {"books/"}, .train = "train.bin"};
//   const TokenizeResult result = tokenize_corpus(options, tokenizer);
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "skipattn/core/progress.h"
#include "skipattn/data/document_reader.h"
#include "skipattn/data/hold_out.h"
#include "skipattn/data/token_format.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::data {

struct TokenizeOptions {
  std::vector<std::string> inputs = {};  ///< what DocumentReader takes
  DocumentReaderOptions reading = {};
  std::filesystem::path train = {};  ///< X.bin to write; its folder must exist
  std::filesystem::path val = {};    ///< where the held-out documents go; used when val_fraction > 0
  double val_fraction = 0;           ///< 0..1 (below 1): share of the documents held out (hold_out.h)
  uint64_t seed = 0;                 ///< of the choice of documents held out
  int threads = 0;                   ///< 0: all processors
  uint64_t batch_bytes = 16 << 20;   ///< text tokenized at a time
};

struct TokenizeResult {
  TokenFileInfo train;
  TokenFileInfo val;   ///< all zero when nothing is held out
  uint64_t files = 0;  ///< input files read
};

/// "X.bin" -> "X-val.bin", and a name that says train -> the same name that says val ("train.bin"
/// -> "val.bin").
std::filesystem::path validation_path(const std::filesystem::path& train);

/// Tokenizes. Throws InputError as DocumentReader does, when there is no text at all, or when one
/// side of the split stays empty; RunError when the disk does not take it; Stopped when asked to.
/// Whatever is thrown, older files stay.
TokenizeResult tokenize_corpus(const TokenizeOptions& options, const tokenizer::Tokenizer& tokenizer,
                               const ProgressSink& progress = {});

}  // namespace skipattn::data
