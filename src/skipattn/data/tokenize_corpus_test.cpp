#include "skipattn/data/tokenize_corpus.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/core/stop.h"
#include "skipattn/data/token_files.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::data {
namespace {

using io::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kEnd = 257;

// A token for each byte, one merge ("th"), and the end-of-text token.
tokenizer::Tokenizer small_tokenizer(bool with_end = true) {
  tokenizer::Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    vocabulary.byte_ids[byte] = static_cast<uint32_t>(byte);
  }
  vocabulary.tokens.push_back("th");
  vocabulary.merges.push_back({'t', 'h', 256});
  if (with_end) {
    vocabulary.tokens.emplace_back(tokenizer::kEndOfText);
    vocabulary.added.push_back({kEnd, std::string(tokenizer::kEndOfText), true});
  }
  return tokenizer::Tokenizer(vocabulary);
}

// As Llama's: a space before each document, a token for it and for "e", bytes for the rest, "th" again.
tokenizer::Tokenizer tokenizer_with_prefix() {
  tokenizer::Vocabulary vocabulary = small_tokenizer().vocabulary();
  vocabulary.scheme.symbols = tokenizer::SymbolKind::kCharacters;
  vocabulary.scheme.prefix = tokenizer::PrefixSpace::kAlways;
  vocabulary.scheme.drop_prefix = tokenizer::DropPrefix::kOneSpace;
  vocabulary.scheme.cut = tokenizer::CutRule::kWord;
  vocabulary.characters = {{' ', 258}, {'e', 259}};
  vocabulary.tokens.insert(vocabulary.tokens.end(), {" ", "e"});
  return tokenizer::Tokenizer(vocabulary);
}

std::vector<std::string> texts_of(const std::filesystem::path& path, const tokenizer::Tokenizer& tokenizer) {
  const TokenFiles files({path.string()}, {.end_of_text = {}, .verify_checksums = true});
  std::vector<std::string> texts;
  for (uint64_t i = 0; i < files.documents(); ++i) {
    const uint64_t begin = files.document_start(i), end = files.document_start(i + 1);
    std::vector<uint32_t> ids(end - begin);
    files.copy(begin, ids.size(), ids.data());
    if (tokenizer.end_of_text()) {
      EXPECT_EQ(ids.back(), kEnd);
      ids.pop_back();
    }
    EXPECT_EQ(std::count(ids.begin(), ids.end(), kEnd), 0);
    texts.push_back(tokenizer.decode(ids));
  }
  return texts;
}

std::vector<std::string> sample_documents(size_t count) {
  Random random(5);
  std::vector<std::string> documents;
  for (size_t i = 0; i < count; ++i) {
    std::string text = "document " + std::to_string(i);
    for (uint64_t words = random.below(200); words > 0; --words)
      text += " the word " + std::to_string(random.below(99));
    documents.push_back(text);
  }
  return documents;
}

std::string json_lines(const std::vector<std::string>& documents) {
  std::string lines;
  for (const std::string& text : documents) lines += nlohmann::json{{"text", text}}.dump() + "\n";
  return lines;
}

TEST(TokenizeCorpus, EveryDocumentIsThereInOrder) {
  const io::TestFolder folder;
  const auto documents = sample_documents(300);
  const auto input = folder.write("a.jsonl", json_lines(documents)).string();
  uint64_t bytes = 0;
  for (const std::string& text : documents) bytes += text.size();
  for (const bool with_end : {true, false}) {
    const auto tokenizer = small_tokenizer(with_end);
    TokenizeOptions options{.inputs = {input}, .train = folder / "train.bin"};
    options.batch_bytes = 5000;
    ProgressReport last;
    const TokenizeResult result =
        tokenize_corpus(options, tokenizer, [&](const ProgressReport& report) { last = report; });
    EXPECT_EQ(texts_of(folder / "train.bin", tokenizer), documents);
    EXPECT_EQ(result.train.bytes, bytes);
    EXPECT_EQ(result.train.documents, 300u);
    EXPECT_EQ(result.train.vocab_size, tokenizer.vocab_size());
    EXPECT_EQ(result.train.vocab_hash, tokenizer.hash());
    EXPECT_EQ(result.files, 1u);
    EXPECT_TRUE(last.finished);
    EXPECT_EQ(last.done, last.total);
    EXPECT_FALSE(std::filesystem::exists(folder / "val.bin"));
  }
}

void expect_the_same_in_pieces(const tokenizer::Tokenizer& tokenizer) {
  const io::TestFolder folder;
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "the other line " + std::to_string(i) + "\n";
  folder.write("corpus/long.txt", text);
  folder.write("corpus/short.txt", "then");
  std::set<std::string> results;
  for (const int threads : {1, 2, 5})
    for (const uint64_t bytes : {uint64_t{20'000}, uint64_t{1} << 24}) {
      TokenizeOptions options{.inputs = {(folder / "corpus").string()}, .train = folder / "a.bin"};
      options.threads = threads;
      options.batch_bytes = options.reading.piece_bytes = bytes;
      EXPECT_EQ(tokenize_corpus(options, tokenizer).train.documents, 2u);
      results.insert(io::slurp(folder / "a.bin") + io::slurp(folder / "a.bin.json") +
                     io::slurp(folder / "a.bin.offsets"));
    }
  EXPECT_EQ(results.size(), 1u);
  EXPECT_THAT(texts_of(folder / "a.bin", tokenizer), ElementsAre(text, "then"));
}

TEST(TokenizeCorpus, ThreadsBatchesAndPiecesChangeNothing) {
  expect_the_same_in_pieces(small_tokenizer());
  expect_the_same_in_pieces(tokenizer_with_prefix());
}

TEST(TokenizeCorpus, TheSplitNeverCutsADocumentAndIsStable) {
  const io::TestFolder folder;
  const auto tokenizer = small_tokenizer();
  auto documents = sample_documents(400);
  TokenizeOptions options{.train = folder / "train.bin", .val = folder / "val.bin", .val_fraction = 0.2, .seed = 1};
  options.batch_bytes = 3000;
  const auto split = [&](const std::vector<std::string>& texts) {
    options.inputs = {folder.write("a.jsonl", json_lines(texts)).string()};
    const TokenizeResult result = tokenize_corpus(options, tokenizer);
    const auto train = texts_of(folder / "train.bin", tokenizer), val = texts_of(folder / "val.bin", tokenizer);
    EXPECT_EQ(result.train.documents, train.size());
    EXPECT_EQ(result.val.documents, val.size());
    std::multiset<std::string> both(train.begin(), train.end());
    both.insert(val.begin(), val.end());
    EXPECT_EQ(both, std::multiset<std::string>(texts.begin(), texts.end()));
    return std::set<std::string>(val.begin(), val.end());
  };
  const auto first = split(documents);
  EXPECT_NEAR(static_cast<double>(first.size()), 80, 30);
  std::reverse(documents.begin(), documents.end());
  documents.resize(350);  // another order, fewer documents: those that stay keep their side
  const auto second = split(documents);
  for (const std::string& text : documents) EXPECT_EQ(first.contains(text), second.contains(text));
  options.seed = 2;
  EXPECT_NE(split(documents), second);
}

TEST(TokenizeCorpus, ALongHeldOutDocumentStaysWholeWithAllItsPieces) {
  const io::TestFolder folder;
  const auto tokenizer = small_tokenizer();
  std::vector<std::string> all;
  for (int i = 0; i < 12; ++i) {
    std::string text;
    for (int line = 0; line < 4000; ++line)
      text += "file " + std::to_string(i) + " line " + std::to_string(line) + "\n";
    folder.write("corpus/" + std::to_string(i) + ".txt", text);
    all.push_back(text);
  }
  TokenizeOptions options{.inputs = {(folder / "corpus").string()}, .train = folder / "t.bin", .val = folder / "v.bin"};
  options.val_fraction = 0.4;
  options.reading.piece_bytes = options.batch_bytes = 10'000;
  tokenize_corpus(options, tokenizer);
  auto texts = texts_of(folder / "t.bin", tokenizer);
  for (const std::string& text : texts_of(folder / "v.bin", tokenizer)) texts.push_back(text);
  EXPECT_THAT(texts, testing::UnorderedElementsAreArray(all));
}

TEST(TokenizeCorpus, FailuresLeaveTheOldFiles) {
  const io::TestFolder folder;
  const auto tokenizer = small_tokenizer();
  TokenizeOptions options{.inputs = {folder.write("a.txt", "text").string()}, .train = folder / "t.bin"};
  tokenize_corpus(options, tokenizer);
  const std::string before = io::slurp(folder / "t.bin");
  const auto names = folder.names();
  options.inputs = {folder.write("a.txt", "").string()};
  EXPECT_THAT(error_of<InputError>([&] { tokenize_corpus(options, tokenizer); }), HasSubstr("there is no text in"));
  options.inputs = {folder.write("a.txt", "other text").string()};
  options.val = folder / "v.bin";
  options.val_fraction = 0.5;
  EXPECT_THAT(error_of<InputError>([&] { tokenize_corpus(options, tokenizer); }),
              HasSubstr("holding out 0.5 of 1 documents leaves"));
  request_stop();
  EXPECT_THROW(tokenize_corpus(options, tokenizer), Stopped);
  clear_stop_request();
  options.val_fraction = 1;
  EXPECT_THROW(tokenize_corpus(options, tokenizer), InputError);
  options.val_fraction = 0;
  options.train = folder / "absent" / "t.bin";
  EXPECT_THROW(tokenize_corpus(options, tokenizer), RunError);
  EXPECT_EQ(io::slurp(folder / "t.bin"), before);
  EXPECT_EQ(folder.names(), names);
}

TEST(TokenizeCorpus, ValidationFilesHaveTheNameOneExpects) {
  EXPECT_EQ(validation_path("data/train.bin"), "data/val.bin");
  EXPECT_EQ(validation_path("train/books.bin"), "train/books-val.bin");
  EXPECT_EQ(validation_path("books_train_1.bin"), "books_val_1.bin");
}

}  // namespace
}  // namespace skipattn::data
