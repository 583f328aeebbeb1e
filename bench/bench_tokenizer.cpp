// Speed of splitting and encoding. Each file is one document.
//
//   bench_tokenizer --tokenizer gpt2 --threads 1,2 book1.txt book2.txt
//
// Checks first that decoding gives the text back, then prints one line of JSON for each thing
// measured; speeds are in 10^6 bytes of text a second, over all threads. bench/tokenizer_peers.py
// runs this beside tiktoken and tokenizers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "skipattn/io/atomic_file.h"
#include "skipattn/io/compressed_stream.h"
#include "skipattn/tokenizer/encode_batch.h"
#include "skipattn/tokenizer/pretoken_splitter.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace {

using namespace skipattn::tokenizer;

struct Options {
  std::string tokenizer;           // folder
  std::vector<std::string> files;  // one document each
  std::vector<int> threads = {1};  // measured one after another
  int repeats = 7;                 // the median is printed
  int train_vocabulary = 0;        // size of a vocabulary to train; 0: none
  std::string ids;                 // file that gets all ids, uint32 one after another; "": none
};

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void measure(const char* what, int threads, std::size_t bytes, int repeats, const std::function<std::size_t()>& work) {
  std::vector<double> speeds;
  std::size_t count = 0;
  for (int i = 0; i < repeats; ++i)
    speeds.push_back(static_cast<double>(bytes) / seconds_of([&] { count = work(); }) / 1e6);
  std::sort(speeds.begin(), speeds.end());
  fmt::print(
      R"({{"bench":"tokenizer","what":"{}","threads":{},"bytes":{},"count":{},"mb_per_s":{{"min":{:.1f},"median":{:.1f},"max":{:.1f}}}}})"
      "\n",
      what, threads, bytes, count, speeds.front(), speeds[speeds.size() / 2], speeds.back());
}

std::size_t split_all(const Tokenizer& tokenizer, const std::vector<std::string_view>& documents) {
  const std::vector<CompiledStep> steps = compile_steps(tokenizer.vocabulary().scheme.steps);
  PretokenSplitter splitter(steps);
  std::size_t pretokens = 0;
  for (const std::string_view text : documents) splitter.split(text, [&](std::string_view) { ++pretokens; });
  return pretokens;
}

void validate(const Tokenizer& tokenizer, const std::vector<std::string_view>& documents, const std::string& ids_file) {
  std::string all_ids;
  for (const std::string_view text : documents) {
    const std::vector<uint32_t> ids = tokenizer.encode(text);
    if (tokenizer.decode(ids) != text) throw std::runtime_error("decoding gave another text");
    all_ids.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t));
  }
  if (!ids_file.empty()) skipattn::io::write_file_atomically(ids_file, all_ids);
}

void run(const Options& options) {
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  for (const std::string& file : options.files) {
    texts.push_back(skipattn::io::read_file(file));
    bytes += texts.back().size();
  }
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  const Tokenizer tokenizer = Tokenizer::load(options.tokenizer);
  validate(tokenizer, documents, options.ids);

  if (!tokenizer.vocabulary().scheme.steps.empty())
    measure("split", 1, bytes, options.repeats, [&] { return split_all(tokenizer, documents); });
  measure("encode, nothing cached", 1, bytes, options.repeats, [&] {
    const Tokenizer fresh(tokenizer.vocabulary());  // includes building its tables
    std::size_t tokens = 0;
    for (const auto& ids : encode_batch(fresh, documents, 1)) tokens += ids.size();
    return tokens;
  });
  for (const int threads : options.threads)
    measure("encode", threads, bytes, options.repeats, [&] {
      std::size_t tokens = 0;
      for (const auto& ids : encode_batch(tokenizer, documents, threads)) tokens += ids.size();
      return tokens;
    });
  if (options.train_vocabulary > 0)
    measure("train", 1, bytes, 1, [&] {
      PretokenCounter counter;
      for (const std::string_view text : documents) counter.add(text);
      return train_bpe(counter, {.vocab_size = options.train_vocabulary}).vocab_size();
    });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Speed of splitting and encoding");
  Options options;
  app.add_option("--tokenizer", options.tokenizer, "folder of the tokenizer")->required();
  app.add_option("--threads", options.threads, "numbers of threads")->delimiter(',');
  app.add_option("--repeats", options.repeats, "times each thing is measured");
  app.add_option("--train", options.train_vocabulary, "also train a vocabulary of this size");
  app.add_option("--ids", options.ids, "write the ids to this file");
  app.add_option("files", options.files, "documents")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
