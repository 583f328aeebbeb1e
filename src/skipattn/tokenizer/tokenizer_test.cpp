#include "skipattn/tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include "skipattn/core/parallel.h"
#include "skipattn/tokenizer/merge_table.h"
#include "skipattn/tokenizer/test_support.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace skipattn::tokenizer {
namespace {

using ::testing::ElementsAre;

const Tokenizer& small() {
  static const Tokenizer tokenizer = [] {
    PretokenCounter counter;
    counter.add("the cat sat on the mat, the cat's hat is on the mat; naïve 日本語 日本語 12 1200 1212");
    return train_bpe(counter, {.vocab_size = 300});
  }();
  return tokenizer;
}

TEST(Tokenizer, GivesGpt2sIds) {
  SKIPATTN_NEEDS_SHARED_DATA();
  // Recorded from tiktoken 0.14 and tokenizers 0.23.
  const std::vector<std::pair<std::string, std::vector<uint32_t>>> facts = {
      {"Hello world", {15496, 995}},
      {"Hello, y'all! How are you 😁 ?", {15496, 11, 331, 6, 439, 0, 1374, 389, 345, 30325, 223, 5633}},
      {" the quick  brown\n\n fox's 1234", {262, 2068, 220, 7586, 628, 21831, 338, 1105, 2682}},
      {"", {}},
      {"don't won't I'LL we've", {9099, 470, 1839, 470, 314, 6, 3069, 356, 1053}},
      {"   ", {220, 220, 220}},
      {"\t\tx", {197, 197, 87}},
      {"日本語 テキスト", {33768, 98, 17312, 105, 45739, 252, 14524, 228, 25084, 43302}},
      {"naïve café", {2616, 38776, 40304}},
      {"def f(x):\n    return x ** 2\n", {4299, 277, 7, 87, 2599, 198, 220, 220, 220, 1441, 2124, 12429, 362, 198}},
      {"<|endoftext|>", {27, 91, 437, 1659, 5239, 91, 29}},
      {"a\u00A0b\u2003 c", {64, 1849, 65, 447, 225, 269}},
      {"²½Ⅷ", {31185, 23141, 158, 227, 100}},
  };
  for (const auto& [text, ids] : facts) {
    EXPECT_EQ(test::gpt2().encode(text), ids) << text;
    EXPECT_EQ(test::gpt2().decode(ids), text);
  }
  EXPECT_EQ(test::gpt2().vocab_size(), 50257);
  EXPECT_EQ(test::gpt2().end_of_text(), 50256);
}

TEST(Tokenizer, AnyBytesComeBack) {
  Random random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string text =
        i % 2 ? test::random_text(random, random.below(60)) : test::random_bytes(random, random.below(200));
    ASSERT_EQ(small().decode(small().encode(text)), text);
    if (test::shared_data()) {
      ASSERT_EQ(test::gpt2().decode(test::gpt2().encode(text)), text);
    }
  }
}

TEST(Tokenizer, EncodingIsMergingEachPretoken) {
  // Against the merge table without any cache, over words long and short, new and seen before.
  const MergeTable table(small().vocabulary());
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    std::string text = test::random_text(random, 40);
    for (const std::size_t length : {15, 16, 63, 64, 300}) text += " " + std::string(length - 1, "ta"[i % 2]);
    std::vector<uint32_t> expected;
    for (const std::string& piece : test::pretokens(text)) table.merge(piece, expected);
    ASSERT_EQ(small().encode(text), expected);
  }
}

TEST(Tokenizer, EncodeAppends) {
  std::vector<uint32_t> ids = {1, 2};
  small().encode("the", ids);
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_THAT(std::vector<uint32_t>(ids.begin(), ids.begin() + 2), ElementsAre(1, 2));
}

TEST(Tokenizer, AddedTokensAreSeenInPromptsOnly) {
  Vocabulary vocabulary = small().vocabulary();
  const auto first = static_cast<uint32_t>(vocabulary.tokens.size());
  vocabulary.added.push_back({first, "<|end|>", true});
  vocabulary.added.push_back({first + 1, "<|end|><|end|>", true});
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"<|end|>", "<|end|><|end|>"});
  const Tokenizer tokenizer(vocabulary);
  const std::string text = "the<|end|><|end|><|end|> cat<|endoftext|>";
  const std::vector<uint32_t> ids = tokenizer.encode_with_special(text);
  const uint32_t the = tokenizer.encode("the")[0];
  std::vector<uint32_t> expected = {the, first + 1, first};
  tokenizer.encode(" cat", expected);
  expected.push_back(static_cast<uint32_t>(*tokenizer.end_of_text()));
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  for (const uint32_t id : tokenizer.encode(text)) EXPECT_LT(id, *tokenizer.end_of_text());
}

TEST(Tokenizer, UnknownIdsAreRefused) {
  const std::vector<uint32_t> ids = {5, 300};
  EXPECT_EQ(
      test::input_error_of([&] { small().decode(ids); }),
      fmt::format("[tokenizer] token id 300 is not in the vocabulary, its ids are 0..{}", small().vocab_size() - 1));
}

TEST(Tokenizer, TheHashNamesTheVocabulary) {
  Vocabulary vocabulary = small().vocabulary();
  EXPECT_EQ(Tokenizer(vocabulary).hash(), small().hash());
  std::swap(vocabulary.merges[0], vocabulary.merges[1]);
  EXPECT_NE(Tokenizer(vocabulary).hash(), small().hash());
  vocabulary = small().vocabulary();
  ++vocabulary.merges[3].right;
  EXPECT_NE(Tokenizer(vocabulary).hash(), small().hash());
  vocabulary = small().vocabulary();
  vocabulary.tokens.back() += "x";
  EXPECT_NE(Tokenizer(vocabulary).hash(), small().hash());
  vocabulary = small().vocabulary();
  vocabulary.added.clear();
  EXPECT_NE(Tokenizer(vocabulary).hash(), small().hash());

  const test::TemporaryFolder folder;
  small().save(folder.path());
  EXPECT_EQ(Tokenizer::load(folder.path()).hash(), small().hash());
}

TEST(Tokenizer, ThreadsMayShareOne) {
  std::vector<std::string> texts(64);
  Random random(3);
  for (std::string& text : texts) text = test::random_text(random, 400);
  const Tokenizer fresh(small().vocabulary());
  std::vector<std::vector<uint32_t>> ids(texts.size() * 8);
  parallel_tasks(ids.size(), 4, [&](std::size_t i) { fresh.encode(texts[i % texts.size()], ids[i]); });
  for (std::size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(ids[i], small().encode(texts[i % texts.size()]));
}

}  // namespace
}  // namespace skipattn::tokenizer
