#include "skipattn/data/loader.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "skipattn/core/errors.h"
#include "skipattn/data/token_test_files.h"

namespace skipattn::data {
namespace {

using io::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const TokenFiles> open(const std::vector<std::string>& paths, const TokenFilesOptions& options = {}) {
  return std::make_shared<const TokenFiles>(paths, options);
}

// The first token of every row, which with token value = position tells the window.
std::vector<int64_t> first_tokens(const Batch& batch) {
  std::vector<int64_t> first;
  for (int64_t row = 0; row < batch.rows; ++row) first.push_back(batch.tokens[row * batch.context]);
  return first;
}

class LoaderTest : public testing::Test {
 protected:
  io::TestFolder folder_;
};

TEST_F(LoaderTest, SequentialBatchesAreTheTokensInOrderAndWrap) {
  const Loader loader(open({write_documents(folder_, "a.bin", {100})}), {.context = 8, .batch_size = 5});
  EXPECT_EQ(loader.windows(), 12);  // floor(99 / 8)
  for (int64_t step = 0; step < 7; ++step) {
    const Batch batch = loader.get(step);
    ASSERT_EQ(batch.tokens.size(), 40u);
    for (int64_t row = 0; row < 5; ++row)
      for (int64_t t = 0; t < 8; ++t) {
        const int64_t expected = (step * 5 + row) % 12 * 8 + t;
        ASSERT_EQ(batch.tokens[row * 8 + t], expected);
        ASSERT_EQ(batch.targets[row * 8 + t], expected + 1);
      }
    EXPECT_TRUE(batch.first_key.empty() && batch.positions.empty() && batch.document_positions.empty());
  }
}

TEST_F(LoaderTest, TheLastWindowNeedsItsLastTarget) {
  EXPECT_EQ(Loader(open({write_documents(folder_, "a.bin", {16})}), {.context = 8}).windows(), 1);
  EXPECT_EQ(Loader(open({write_documents(folder_, "a.bin", {17})}), {.context = 8}).windows(), 2);
  EXPECT_EQ(Loader(open({write_documents(folder_, "a.bin", {9})}), {.context = 8}).windows(), 1);
  EXPECT_THAT(error_of<InputError>([&] { Loader(open({write_documents(folder_, "a.bin", {8})}), {.context = 8}); }),
              AllOf(HasSubstr("a context of 8 needs 9 tokens"), HasSubstr("a.bin' holds 8")));
}

TEST_F(LoaderTest, AStrideMovesWindowsByLessThanTheContext) {
  const Loader loader(open({write_documents(folder_, "a.bin", {20})}), {.context = 8, .batch_size = 4, .stride = 3});
  EXPECT_EQ(loader.windows(), 4);  // begins 0, 3, 6, 9; 9 + 9 <= 20
  EXPECT_THAT(first_tokens(loader.get(0)), ElementsAre(0, 3, 6, 9));
}

TEST_F(LoaderTest, ShuffledEpochsHoldEveryWindowOnceInANewOrder) {
  const auto corpus = open({write_documents(folder_, "a.bin", {401})});
  const Loader loader(corpus, {.context = 4, .batch_size = 10, .order = Order::kShuffled, .seed = 3});
  ASSERT_EQ(loader.windows(), 100);
  std::vector<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t step = 0; step < 10; ++step)
      for (const int64_t token : first_tokens(loader.get(epoch * 10 + step))) order.push_back(token);
    epochs.push_back(order);
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(order[i], 4 * i);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  const Loader same(corpus, {.context = 4, .batch_size = 10, .order = Order::kShuffled, .seed = 3});
  const Loader other(corpus, {.context = 4, .batch_size = 10, .order = Order::kShuffled, .seed = 4});
  EXPECT_EQ(same.get(12).tokens, loader.get(12).tokens);
  EXPECT_NE(other.get(12).tokens, loader.get(12).tokens);
}

TEST_F(LoaderTest, TheOrderDoesNotDependOnHowABatchIsSplit) {
  const auto corpus = open({write_documents(folder_, "a.bin", {50, 3, 148})});
  LoaderOptions options{.context = 7, .batch_size = 12, .order = Order::kShuffled, .seed = 1};
  options.document_mask = options.reset_positions = options.document_positions = true;
  const Loader whole(corpus, options);
  options.batch_size = 4;
  const Loader third(corpus, options);
  for (int64_t step = 0; step < 9; ++step) {
    const Batch batch = whole.get(step);
    for (int64_t part = 0; part < 3; ++part)
      for (const Batch& piece : {third.get(step * 3 + part), whole.get_rows(step, part * 4, 4)}) {
        const auto equal = [&](const auto& all, const auto& some) {
          return some.size() == 28 && std::equal(some.begin(), some.end(), all.begin() + part * 28);
        };
        EXPECT_TRUE(equal(batch.tokens, piece.tokens));
        EXPECT_TRUE(equal(batch.targets, piece.targets));
        EXPECT_TRUE(equal(batch.first_key, piece.first_key));
        EXPECT_TRUE(equal(batch.positions, piece.positions));
        EXPECT_TRUE(equal(batch.document_positions, piece.document_positions));
      }
  }
}

TEST_F(LoaderTest, DocumentsByHand) {
  // Documents [0..4] [5] [6..11], and 12..16 as the fourth; windows of 6: 0..5, 6..11, 12..17 has no last target.
  const auto corpus = open({write_documents(folder_, "a.bin", {5, 1, 8, 5})});
  LoaderOptions options{.context = 6, .batch_size = 3};
  options.document_mask = options.reset_positions = options.document_positions = true;
  const Loader loader(corpus, options);
  ASSERT_EQ(loader.windows(), 3);
  const Batch batch = loader.get(0);
  EXPECT_THAT(batch.first_key, ElementsAre(0, 0, 0, 0, 0, 5, /**/ 0, 0, 0, 0, 0, 0, /**/ 0, 0, 2, 2, 2, 2));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, 3, 4, 0, /**/ 0, 1, 2, 3, 4, 5, /**/ 0, 1, 0, 1, 2, 3));
  EXPECT_THAT(batch.document_positions, ElementsAre(0, 1, 2, 3, 4, 0, /**/ 0, 1, 2, 3, 4, 5, /**/ 6, 7, 0, 1, 2, 3));
}

TEST_F(LoaderTest, SeveralShardsEqualOneFile) {
  write_documents(folder_, "one.bin", {9, 20, 4, 30, 8});
  write_documents(folder_, "many-0.bin", {9, 20});
  write_documents(folder_, "many-1.bin", {4}, 29);
  write_documents(folder_, "many-2.bin", {30, 8}, 33);
  for (const Packing packing : {Packing::kStream, Packing::kDocuments}) {
    LoaderOptions options{.context = 7, .batch_size = 4, .order = Order::kShuffled, .seed = 9, .packing = packing};
    options.document_mask = options.document_positions = true;
    options.min_document_tokens = 5;
    const Loader one(open({(folder_ / "one.bin").string()}), options);
    const Loader many(open({(folder_ / "many-*.bin").string()}), options);
    ASSERT_EQ(one.windows(), many.windows());
    for (int64_t step = 0; step < 6; ++step) {
      EXPECT_EQ(one.get(step).tokens, many.get(step).tokens);
      EXPECT_EQ(one.get(step).first_key, many.get(step).first_key);
      EXPECT_EQ(one.get(step).document_positions, many.get(step).document_positions);
    }
  }
}

TEST_F(LoaderTest, ShortDocumentsAreLeftOutOfTheStream) {
  // Kept are [0..5], [8..12] and [13..17] (13 tokens from 8 on without a gap), [21..26]; left out 6..7 and 18..20.
  const auto corpus = open({write_documents(folder_, "a.bin", {6, 2, 5, 5, 3, 6})});
  LoaderOptions options{.context = 4, .batch_size = 5, .min_document_tokens = 5};
  options.document_mask = options.reset_positions = options.document_positions = true;
  const Loader loader(corpus, options);
  ASSERT_EQ(loader.windows(), 5);  // 22 kept tokens
  const Batch batch = loader.get(0);
  EXPECT_THAT(batch.tokens, ElementsAre(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 21, 22, 23, 24));
  EXPECT_THAT(batch.targets, ElementsAre(1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 21, 22, 23, 24, 25));
  EXPECT_THAT(batch.first_key,
              ElementsAre(0, 0, 0, 0, /**/ 0, 0, 2, 2, /**/ 0, 0, 0, 3, /**/ 0, 0, 0, 0, /**/ 0, 0, 0, 0));
  EXPECT_THAT(batch.document_positions,
              ElementsAre(0, 1, 2, 3, /**/ 4, 5, 0, 1, /**/ 2, 3, 4, 0, /**/ 1, 2, 3, 4, /**/ 0, 1, 2, 3));
}

TEST_F(LoaderTest, DocumentPackingKeepsEveryWindowInsideOneDocument) {
  // 4: too short; 9 from 4: two windows; 5 from 13: one; 8 from 18: one, its last three left.
  const auto corpus = open({write_documents(folder_, "a.bin", {4, 9, 5, 8})});
  LoaderOptions options{.context = 4, .batch_size = 4, .packing = Packing::kDocuments};
  options.document_mask = options.document_positions = true;
  const Loader loader(corpus, options);
  ASSERT_EQ(loader.windows(), 4);
  const Batch batch = loader.get(0);
  EXPECT_THAT(batch.tokens, ElementsAre(4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 21));
  EXPECT_THAT(batch.document_positions, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3));
  EXPECT_THAT(batch.first_key, testing::Each(0));
  options.min_document_tokens = 6;
  EXPECT_THAT(first_tokens(Loader(corpus, options).sequences(0, 3)), ElementsAre(4, 8, 18));
  options.context = 9;
  EXPECT_THAT(error_of<InputError>([&] { Loader(corpus, options); }),
              AllOf(HasSubstr("10 tokens"), HasSubstr("the longest has 9")));
  options.packing = Packing::kStream;
  options.min_document_tokens = 10;
  EXPECT_THAT(error_of<InputError>([&] { Loader(corpus, options); }), HasSubstr("the longest document has 9"));
}

TEST_F(LoaderTest, BoundariesThatAreNeededMustBeKnown) {
  const auto path = folder_.write("raw.bin", raw_bytes<uint16_t>({1, 2, 0, 3, 4, 0, 5})).string();
  LoaderOptions options{.context = 6};
  EXPECT_NO_THROW(Loader(open({path}), options));
  options.document_mask = true;
  EXPECT_THAT(error_of<InputError>([&] { Loader(open({path}), options); }), HasSubstr("set end_of_text"));
  EXPECT_THAT(Loader(open({path}, {.end_of_text = 0}), options).get(0).first_key, ElementsAre(0, 0, 0, 3, 3, 3));
  options = {.context = 2, .packing = Packing::kDocuments};
  EXPECT_THAT(error_of<InputError>([&] { Loader(open({path}), options); }), HasSubstr("set end_of_text"));
}

TEST_F(LoaderTest, IdsBeyondTheVocabularyAreNamed) {
  const auto raw = folder_.write("raw.bin", raw_bytes<uint16_t>({1, 2, 3, 4, 50, 6, 7})).string();
  const Loader loader(open({raw}), {.context = 3, .vocab_size = 50});
  EXPECT_THAT(error_of<InputError>([&] { loader.get(1); }),
              AllOf(HasSubstr("token 4 of"), HasSubstr("raw.bin' is 50"), HasSubstr("only 50 tokens")));
  EXPECT_NO_THROW(Loader(open({raw}), {.context = 3, .vocab_size = 51}).get(1));
  const auto path = write_documents(folder_, "a.bin", {30});
  EXPECT_THAT(error_of<InputError>([&] { Loader(open({path}), {.context = 3, .vocab_size = 49999}); }),
              HasSubstr("made with a vocabulary of 50000 tokens, the model has 49999"));
}

TEST(LoaderOptions, NamesAreParsed) {
  EXPECT_EQ(parse_order("shuffled"), Order::kShuffled);
  EXPECT_EQ(parse_packing("documents"), Packing::kDocuments);
  EXPECT_THAT(error_of<InputError>([] { parse_order("shufled"); }), HasSubstr("did you mean 'shuffled'"));
  EXPECT_THROW(parse_packing(""), InputError);
}

}  // namespace
}  // namespace skipattn::data
