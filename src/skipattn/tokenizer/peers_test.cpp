// Equality with the packages people use, run by the python that ctest names. peers_check.py does the comparing.
#include <sys/wait.h>

#include "skipattn/tokenizer/encode_batch.h"
#include "skipattn/tokenizer/test_support.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;

struct Outcome {
  int code;          // exit code; 77: something is missing
  std::string text;  // what was printed
};

Outcome run_check(const std::string& arguments, const fs::path& folder) {
  const char* const python = std::getenv("SKIPATTN_PYTHON");
  const char* const source = std::getenv("SKIPATTN_SOURCE_DIR");
  if (!python || !source) return {77, "SKIPATTN_PYTHON or SKIPATTN_SOURCE_DIR is not set"};
  const fs::path log = folder / "check.log";
  const std::string command = fmt::format(
      "TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1 '{}' '{}/src/skipattn/tokenizer/peers_check.py' "
      "{} > '{}' 2>&1",
      python, source, arguments, log.string());
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1, test::read_text(log)};
}

#define EXPECT_EQUAL_TO_PEERS(check)                                    \
  const Outcome outcome = check;                                        \
  if (outcome.code == 77) GTEST_SKIP() << "no peers: " << outcome.text; \
  EXPECT_EQ(outcome.code, 0) << outcome.text

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

/// Every code point after each of these, in many documents.
std::vector<std::string> every_code_point(const std::vector<std::string>& neighbours) {
  std::vector<std::string> texts;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c % 4096 == 0) texts.emplace_back();
    for (const std::string& before : neighbours) texts.back() += before + test::utf8(c);
    texts.back() += "\n";
  }
  return texts;
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

/// Awkward text of every length up to 300 pieces, without its broken bytes: the peers take only UTF-8.
std::vector<std::string> random_texts() {
  Random random(11);
  std::vector<std::string> texts;
  while (texts.size() < 300) {
    std::string valid;
    const CharacterTable& table = CharacterTable::instance();
    const std::string text = test::random_text(random, texts.size());
    for (std::size_t i = 0; i < text.size();) {
      const Character character = table.decode(&text[i], text.data() + text.size());
      if (character.bytes > 1 || static_cast<unsigned char>(text[i]) < 0x80) valid += text.substr(i, character.bytes);
      i += character.bytes;
    }
    texts.push_back(valid);
  }
  return texts;
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
