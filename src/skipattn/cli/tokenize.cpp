// skipattn tokenize: text to token files; can train the vocabulary first.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "skipattn/cli/command.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/data/document_reader.h"
#include "skipattn/data/tokenize_corpus.h"
#include "skipattn/tokenizer/pretoken_counter.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;

struct TokenizeArguments : CommonOptions {
  std::vector<std::string> inputs;
  std::string tokenizer;
  int64_t train_bpe = 0;
  std::string out;
  std::string val_out;
  double val = 0;
  std::string text_key = "text";
  std::vector<std::string> include;
};

data::DocumentReaderOptions reading(const TokenizeArguments& arguments) {
  data::DocumentReaderOptions options;
  options.text_key = arguments.text_key;
  options.include = arguments.include;
  return options;
}

/// Trains a vocabulary on the documents that are not held out.
tokenizer::Tokenizer trained_tokenizer(const TokenizeArguments& arguments, uint64_t seed,
                                       const ProgressSink& progress) {
  if (std::ranges::find(arguments.inputs, "-") != arguments.inputs.end())
    throw InputError(
        "[tokenize] --train-bpe reads its input twice, which standard input cannot do; write it to a file first");
  data::DocumentReader reader(arguments.inputs, reading(arguments));
  tokenizer::PretokenCounter counter;
  data::HoldOut hold_out(arguments.inputs, seed, arguments.val);
  for (data::DocumentPiece piece; reader.next(piece);) {
    if (stop_requested()) throw Stopped("stopped while counting words; nothing was written");
    for (const data::PlacedPiece& placed : hold_out.place(std::move(piece)))
      if (!placed.held_out) counter.add(placed.piece.text);
    report(progress, {.task = "count words",
                      .done = static_cast<double>(reader.file_bytes_read()),
                      .total = static_cast<double>(reader.file_bytes_total()),
                      .unit = "bytes",
                      .detail = fmt::format("{} different", short_count(static_cast<double>(counter.size())))});
  }
  tokenizer::TrainBpeOptions options;
  options.vocab_size = static_cast<int>(arguments.train_bpe);
  options.progress = progress;
  return tokenizer::train_bpe(counter, options);
}

/// The tokenizer goes beside the token files; one that is there already must be the same, since others were made with it.
void check_place(const fs::path& folder, const tokenizer::Tokenizer& tokenizer) {
  const bool there = fs::exists(folder / "vocab.json") || fs::exists(folder / "tokenizer.json");
  if (there && tokenizer::Tokenizer::load(folder).hash() != tokenizer.hash())
    throw InputError(
        "[tokenize] '{}' holds another vocabulary, which token files beside it may have been made with; write to "
        "another folder, delete it, or use it with --tokenizer",
        folder.string());
  std::error_code error;
  fs::create_directories(folder.parent_path(), error);
  if (error) throw RunError("'{}': cannot be made: {}", folder.parent_path().string(), error.message());
}

void run_tokenize(const TokenizeArguments& arguments) {
  if (arguments.tokenizer.empty() == (arguments.train_bpe == 0))
    throw InputError("[tokenize] give either --tokenizer DIR or --train-bpe N");
  const ProgressSink progress = progress_view(arguments);
  const auto seed = static_cast<uint64_t>(arguments.seed.value_or(1));
  const fs::path out = fs::absolute(arguments.out);
  const tokenizer::Tokenizer tokenizer = arguments.train_bpe > 0 ? trained_tokenizer(arguments, seed, progress)
                                                                 : tokenizer::Tokenizer::load(arguments.tokenizer);
  const fs::path folder = out.parent_path() / "tokenizer";
  check_place(folder, tokenizer);
  data::TokenizeOptions options;
  options.inputs = arguments.inputs;
  options.reading = reading(arguments);
  options.train = out;
  options.val_fraction = arguments.val;
  options.val = arguments.val_out.empty() ? data::validation_path(out) : fs::absolute(arguments.val_out);
  options.seed = seed;
  options.threads = static_cast<int>(arguments.threads);
  const data::TokenizeResult result = data::tokenize_corpus(options, tokenizer, progress);

  // Beside the token files, so that training finds it and puts it into checkpoints.
  fs::create_directories(folder);
  tokenizer.save(folder);

  nlohmann::ordered_json json = {
      {"tokens", result.train.tokens + result.val.tokens},
      {"bytes", result.train.bytes + result.val.bytes},
      {"documents", result.train.documents + result.val.documents},
      {"vocab_size", tokenizer.vocab_size()},
      {"files", result.files},
      {"train",
       {{"file", options.train.string()}, {"tokens", result.train.tokens}, {"documents", result.train.documents}}},
      {"tokenizer", folder.string()},
  };
  std::string text = fmt::format("{}: {} tokens of {} documents, vocabulary {}\n", arguments.out,
                                 short_count(static_cast<double>(result.train.tokens)), result.train.documents,
                                 tokenizer.vocab_size());
  if (arguments.val > 0) {
    json["val"] = {{"file", options.val.string()}, {"tokens", result.val.tokens}, {"documents", result.val.documents}};
    text += fmt::format("{}: {} tokens of {} documents held out\n", options.val.string(),
                        short_count(static_cast<double>(result.val.tokens)), result.val.documents);
  }
  print_result(arguments, json, text + "tokenizer: " + folder.string() + "\n");
}

}  // namespace

void add_tokenize_command(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<TokenizeArguments>();
  CLI::App* command =
      add_command(app, chosen, "tokenize", "Text, folders or JSONL to token files; can train the vocabulary",
                  "  skipattn tokenize books/ --train-bpe 8192 --out data/train.bin --val 0.05\n"
                  "  skipattn tokenize corpus.jsonl.zst --tokenizer gpt2/ --out data/train.bin\n"
                  "  zcat big.gz | skipattn tokenize - --tokenizer gpt2/ --out data/train.bin",
                  *options, [options] { run_tokenize(*options); });
  command
      ->add_option("input", options->inputs,
                   "text files, folders, JSONL (plain, .gz, .zst, .xz), or - for standard input")
      ->required();
  command->add_option("--tokenizer", options->tokenizer, "folder with vocab.json and merges.txt, or tokenizer.json");
  command->add_option("--train-bpe", options->train_bpe, "train a byte-level BPE vocabulary of this size")
      ->check(CLI::Range(257, 1000000));
  command->add_option("--out", options->out, "token file to write, X.bin")->required();
  command
      ->add_option("--val", options->val,
                   "share of the documents (of a single text file: its end) held out for validation")
      ->check(CLI::Range(0.0, 0.99));
  command->add_option("--val-out", options->val_out,
                      "where they go; default: the name of --out with train turned to val");
  command->add_option("--text-key", options->text_key, "the key of a JSONL line that holds the text")
      ->capture_default_str();
  command->add_option("--include", options->include, "in folders, only names that match this glob; may be repeated")
      ->allow_extra_args(false);
}

}  // namespace skipattn::cli
