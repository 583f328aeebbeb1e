#include "skipattn/tokenizer/encode_batch.h"

#include "skipattn/tokenizer/test_support.h"
#include "skipattn/tokenizer/train_bpe.h"

namespace skipattn::tokenizer {
namespace {

Tokenizer small() {
  PretokenCounter counter;
  counter.add("all the ladies re-read the sallow reeds; we're all, they'll");
  return train_bpe(counter, {.vocab_size = 280});
}

TEST(EncodeBatch, EqualsEncodeForAnyNumberOfThreads) {
  const Tokenizer tokenizer = small();
  Random random(1);
  std::vector<std::string> texts = {"", test::random_text(random, 2'000'000), "x", ""};  // the second is cut
  for (int i = 0; i < 300; ++i) texts.push_back(test::random_text(random, random.below(4000)));
  texts.push_back(std::string(3'000'000, ' ') + "x");  // can be cut nowhere
  texts.push_back(test::random_bytes(random, 2'000'000));
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  std::vector<std::vector<uint32_t>> expected;
  for (const std::string& text : texts) expected.push_back(tokenizer.encode(text));
  for (const int threads : {1, 2, 5, 0}) {
    const auto ids = encode_batch(tokenizer, documents, threads);
    ASSERT_TRUE(ids == expected) << threads << " threads";
  }
}

TEST(EncodeBatch, OfNothingIsNothing) {
  EXPECT_TRUE(encode_batch(small(), {}, 2).empty());
}

}  // namespace
}  // namespace skipattn::tokenizer
