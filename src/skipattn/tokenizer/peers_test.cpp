// Equality with the packages people use, run by the python that ctest names. peers_check.py does the comparing.
#include "skipattn/tokenizer/encode_batch.h"
#include "skipattn/tokenizer/peers_support.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using test::every_code_point;
using test::Outcome;
using test::random_texts;
using test::TemporaryFolder;

Outcome run_check(const std::string& arguments, const fs::path& folder) {
  return test::run_script("peers_check.py", arguments, folder);
}

/// Writes document number `index` and its ids.
void write_document(const fs::path& folder, std::size_t index, std::string_view text,
                    const std::vector<uint32_t>& ids) {
  const std::string name = fmt::format("{:04}", index);
  test::write_text(folder / (name + ".txt"), text);
  test::write_text(folder / (name + ".ids"),
                   {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t)});
}

Outcome compare(const Tokenizer& tokenizer, const std::vector<std::string>& texts, const std::string& packages) {
  const TemporaryFolder folder;
  tokenizer.save(folder.path() / "vocabulary");
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  const auto ids = encode_batch(tokenizer, documents, 2);
  for (std::size_t i = 0; i < texts.size(); ++i) write_document(folder.path(), i, texts[i], ids[i]);
  return run_check(fmt::format("ids '{}' {}", folder.path().string(), packages), folder.path());
}

/// A vocabulary that shows how a text was split: a letter, a digit, a sign and white space merge with any byte that
/// follows in the same pre-token. (In GPT-2's few rare letters merge with anything, so many wrong splits give equal ids.)
Tokenizer tokenizer_that_shows_splits() {
  PretokenCounter counter;
  counter.add("x");
  Vocabulary vocabulary = train_bpe(counter, {.vocab_size = 257}).vocabulary();  // bytes and <|endoftext|>
  vocabulary.tokens.pop_back();
  for (const char left : std::string("a1! \n"))
    for (int right = 0; right < 256; ++right) {
      const auto result = static_cast<uint32_t>(vocabulary.tokens.size());
      vocabulary.merges.push_back(
          {vocabulary.byte_ids[static_cast<unsigned char>(left)], vocabulary.byte_ids[right], result});
      vocabulary.tokens.push_back({left, static_cast<char>(right)});
    }
  vocabulary.added = {{static_cast<uint32_t>(vocabulary.tokens.size()), std::string(kEndOfText), true}};
  vocabulary.tokens.emplace_back(kEndOfText);
  return Tokenizer(vocabulary);
}

TEST(Peers, EveryCodePointIsOfTheSameClass) {
  // It joins a letter, a digit or a sign before it, or it is white space.
  const std::vector<std::string> texts = every_code_point({"a", "1", "!"});
  EXPECT_EQUAL_TO_PEERS(compare(tokenizer_that_shows_splits(), texts, "tiktoken tokenizers"));
}

TEST(Peers, EveryCodePointHasGpt2sIds) {
  SKIPATTN_NEEDS_SHARED_DATA();
  // After a letter, between digits, after a space, after a sign, alone in a line.
  const std::vector<std::string> texts = every_code_point({"a", "1", "2 ", "!", "b\n"});
  EXPECT_EQUAL_TO_PEERS(compare(test::gpt2(), texts, "tiktoken"));
}

TEST(Peers, ValidationBooks) {
  SKIPATTN_NEEDS_SHARED_DATA();
  EXPECT_EQUAL_TO_PEERS(compare(test::gpt2(), test::books("val.jsonl.xz"), "tiktoken tokenizers"));
}

TEST(Peers, TrainingBooks) {
  SKIPATTN_NEEDS_SHARED_DATA();
  EXPECT_EQUAL_TO_PEERS(compare(test::gpt2(), test::books("train-03.jsonl.xz"), "tiktoken"));
}

TEST(Peers, RandomTextIsSplitAlike) {
  EXPECT_EQUAL_TO_PEERS(compare(tokenizer_that_shows_splits(), random_texts(), "tiktoken tokenizers"));
}

TEST(Peers, RandomTextHasGpt2sIds) {
  SKIPATTN_NEEDS_SHARED_DATA();
  EXPECT_EQUAL_TO_PEERS(compare(test::gpt2(), random_texts(), "tiktoken tokenizers"));
}

/// The first book, and a text with all that is awkward.
std::vector<std::string> some_texts() {
  return {test::books("val.jsonl.xz", 1)[0].substr(0, 300'000),
          "  we'll \n\n\tsee\u00A0\u3000 naïve 日本語 😁 ½ 1234 ...!?\r\n x"};
}

void expect_opened_by_transformers(const Tokenizer& tokenizer) {
  const TemporaryFolder folder;
  tokenizer.save(folder.path());
  const std::vector<std::string> texts = some_texts();
  for (std::size_t i = 0; i < texts.size(); ++i) write_document(folder.path(), i, texts[i], tokenizer.encode(texts[i]));
  EXPECT_EQUAL_TO_PEERS(run_check(fmt::format("transformers '{}'", folder.path().string()), folder.path()));
  EXPECT_EQ(Tokenizer::load(folder.path() / "theirs").hash(), tokenizer.hash());
}

TEST(Peers, TransformersOpensWhatIsSaved) {
  SKIPATTN_NEEDS_SHARED_DATA();
  expect_opened_by_transformers(test::gpt2());
  PretokenCounter counter;
  counter.add(test::books("val.jsonl.xz", 1)[0]);
  expect_opened_by_transformers(train_bpe(counter, {.vocab_size = 1000}));
}

TEST(Peers, TrainingMakesTheSameMerges) {
  SKIPATTN_NEEDS_SHARED_DATA();
  const TemporaryFolder folder;
  PretokenCounter counter;
  std::size_t index = 0;
  for (const std::string& text : test::books("val.jsonl.xz", 4)) {
    counter.add(text);
    write_document(folder.path(), index++, text, {});
  }
  train_bpe(counter, {.vocab_size = 3000}).save(folder.path());
  EXPECT_EQUAL_TO_PEERS(run_check(fmt::format("train '{}' 3000", folder.path().string()), folder.path()));
}

}  // namespace
}  // namespace skipattn::tokenizer
