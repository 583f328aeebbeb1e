#include "skipattn/data/token_files.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "skipattn/core/errors.h"
#include "skipattn/data/token_test_files.h"

namespace skipattn::data {
namespace {

using io::error_of;
using io::slurp;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<uint32_t> all_tokens(const TokenFiles& files) {
  std::vector<uint32_t> ids(files.tokens());
  files.copy(0, ids.size(), ids.data());
  return ids;
}

std::vector<uint64_t> all_starts(const TokenFiles& files) {
  std::vector<uint64_t> starts;
  for (uint64_t i = 0; i < files.documents(); ++i) starts.push_back(files.document_start(i));
  return starts;
}

TEST(TokenFiles, RoundTripNarrowAndWide) {
  for (const int64_t vocab_size : {65536, 65537}) {
    const io::TestFolder folder;
    const auto last = static_cast<uint32_t>(vocab_size - 1);
    TokenFileWriter writer(folder / "a.bin",
                           {.vocab_size = vocab_size, .vocab_hash = 0xfedcba9876543210u, .end_of_text = 9});
    writer.append(std::vector<uint32_t>{1, 2});
    writer.append(std::vector<uint32_t>{last});
    writer.end_document(10);
    writer.end_document(99);  // empty: leaves no trace
    writer.append(std::vector<uint32_t>{5});
    writer.end_document(1);
    EXPECT_FALSE(std::filesystem::exists(folder / "a.bin"));
    writer.commit();
    EXPECT_EQ(std::filesystem::file_size(folder / "a.bin"), 6u * (vocab_size == 65536 ? 2 : 4));
    const TokenFiles files({(folder / "a.bin").string()}, {.end_of_text = {}, .verify_checksums = true});
    EXPECT_EQ(all_tokens(files), (std::vector<uint32_t>{1, 2, last, 9, 5, 9}));
    EXPECT_THAT(all_starts(files), ElementsAre(0, 4));
    EXPECT_EQ(*files.shards()[0]->info(), writer.info());
    EXPECT_EQ(files.text_bytes(), 11u);
    EXPECT_EQ(files.vocab_size(), vocab_size);
    EXPECT_EQ(files.vocab_hash(), 0xfedcba9876543210u);
    EXPECT_EQ(files.end_of_text(), 9);
    EXPECT_THAT(folder.names(), ElementsAre("a.bin", "a.bin.json", "a.bin.offsets"));
  }
}

TEST(TokenFiles, TheWriterHoldsItsCallerToTheVocabulary) {
  const io::TestFolder folder;
  TokenFileWriter writer(folder / "a.bin", {.vocab_size = 10, .vocab_hash = 0, .end_of_text = {}});
  EXPECT_THROW(writer.append(std::vector<uint32_t>{10}), std::logic_error);
  writer.append(std::vector<uint32_t>{9});
  EXPECT_THROW(writer.commit(), std::logic_error);
}

TEST(TokenFiles, ManyShardsAreOneStream) {
  const io::TestFolder folder;
  write_documents(folder, "one.bin", {5, 1, 4, 7, 3});
  write_documents(folder, "many-0.bin", {5, 1});
  write_documents(folder, "many-1.bin", {4}, 6);
  write_documents(folder, "many-2.bin", {7, 3}, 10);
  const TokenFiles one({(folder / "one.bin").string()});
  const TokenFiles many({(folder / "many-*").string()});
  EXPECT_EQ(many.shards().size(), 3u);
  EXPECT_EQ(all_tokens(many), counting(0, 20));
  EXPECT_EQ(all_tokens(one), all_tokens(many));
  EXPECT_EQ(all_starts(one), all_starts(many));
  EXPECT_THAT(all_starts(many), ElementsAre(0, 5, 6, 10, 17));
  EXPECT_EQ(many.text_bytes(), 60u);
  for (uint64_t begin = 0; begin <= 20; ++begin)
    for (uint64_t count = 0; begin + count <= 20; ++count) {
      std::vector<int64_t> ids(count);
      many.copy(begin, count, ids.data());
      for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(ids[i], static_cast<int64_t>(begin + i));
    }
  int64_t id = 0;
  EXPECT_THROW(many.copy(20, 1, &id), std::out_of_range);
  EXPECT_EQ(many.document_start(5), 20u);
  for (uint64_t token = 0, document = 0; token < 20; ++token) {
    if (token == one.document_start(document + 1)) ++document;
    EXPECT_EQ(many.document_at(token), document) << token;
  }
  EXPECT_THAT(many.describe_place(12), AllOf(HasSubstr("token 2 of"), HasSubstr("many-2.bin")));
  std::filesystem::remove(folder / "one.bin");
  EXPECT_EQ(TokenFiles({folder.path().string()}).tokens(), 20u) << "a folder means its *.bin";
}

TEST(TokenFiles, NanoGptFilesAreReadAsTheyAre) {
  const io::TestFolder folder;
  const auto path = folder.write("val.bin", raw_bytes<uint16_t>({3, 4, 50256, 5, 50256, 6})).string();
  const TokenFiles plain({path});
  EXPECT_EQ(all_tokens(plain), (std::vector<uint32_t>{3, 4, 50256, 5, 50256, 6}));
  EXPECT_FALSE(plain.documents_known());
  EXPECT_EQ(plain.documents(), 1u);
  EXPECT_EQ(plain.vocab_size(), 0);
  const TokenFiles cut({path}, {.end_of_text = 50256});
  EXPECT_TRUE(cut.documents_known());
  EXPECT_THAT(all_starts(cut), ElementsAre(0, 3, 5));
}

TEST(TokenFiles, ADocumentMayGoOnInTheNextShard) {
  const io::TestFolder folder;
  // 0 ends documents: [1 2 3 4 0] over two files, [5 0] ending one, [6 7 7 8] over three without an end.
  folder.write("0.bin", raw_bytes<uint16_t>({1, 2}));
  folder.write("1.bin", raw_bytes<uint16_t>({3, 4, 0, 5, 0}));
  folder.write("2.bin", raw_bytes<uint16_t>({6}));
  folder.write("3.bin", raw_bytes<uint16_t>({7, 7}));
  folder.write("4.bin", raw_bytes<uint16_t>({8}));
  const TokenFiles files({folder.path().string()}, {.end_of_text = 0});
  EXPECT_THAT(all_starts(files), ElementsAre(0, 5, 7));
  const std::vector<uint64_t> of_token = {0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2};
  for (uint64_t token = 0; token < files.tokens(); ++token) EXPECT_EQ(files.document_at(token), of_token[token]);
}

TEST(TokenFiles, LlmcFilesAreRecognised) {
  const io::TestFolder folder;
  const auto narrow = folder.write("gpt2.bin", llmc_bytes<uint16_t>(20240520, 1, {50256, 1, 2, 50256, 3})).string();
  const TokenFiles files({narrow}, {.end_of_text = 50256});
  EXPECT_EQ(all_tokens(files), (std::vector<uint32_t>{50256, 1, 2, 50256, 3}));
  EXPECT_THAT(all_starts(files), ElementsAre(0, 4));
  const auto wide = folder.write("llama.bin", llmc_bytes<uint32_t>(20240801, 7, {128000, 1, 2})).string();
  EXPECT_EQ(all_tokens(TokenFiles({wide})), (std::vector<uint32_t>{128000, 1, 2}));
  const auto old = folder.write("old.bin", llmc_bytes<uint16_t>(20240520, 2, {1})).string();
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles{{old}}; }), HasSubstr("header of version 2"));
  const auto cut = folder.write("cut.bin", slurp(narrow).substr(0, 1030)).string();
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles{{cut}}; }), AllOf(HasSubstr("cut.bin"), HasSubstr("5 tokens")));
}

TEST(TokenFiles, WrongFilesAreNamedAllAtOnce) {
  const io::TestFolder folder;
  const auto empty = folder.write("empty.bin", "").string();
  const auto odd = folder.write("odd.bin", "123").string();
  EXPECT_THAT(error_of<InputError>([&] {
                TokenFiles({empty, odd, (folder / "none-*.bin").string()});
              }),
              AllOf(HasSubstr("empty.bin' is empty"), HasSubstr("odd.bin' takes 3 bytes"), HasSubstr("none-*.bin")));
  EXPECT_THROW(TokenFiles({}), InputError);
}

TEST(TokenFiles, ASideCarThatDoesNotFitIsRefused) {
  const io::TestFolder folder;
  const auto path = write_documents(folder, "a.bin", {5, 6});
  const std::string tokens = slurp(path), offsets = slurp(path + ".offsets"), car = slurp(path + ".json");
  const auto message = [&] { return error_of<InputError>([&] { TokenFiles{{path}}; }); };
  folder.write("a.bin", tokens.substr(0, 20));
  EXPECT_THAT(message(), HasSubstr("holds 10 tokens, its side-car says 11"));
  folder.write("a.bin", tokens);
  folder.write("a.bin.offsets", offsets.substr(0, 8));
  EXPECT_THAT(message(), HasSubstr("2 documents need 16"));
  folder.write("a.bin.offsets", raw_bytes<uint64_t>({0, 11}));
  EXPECT_THAT(message(), HasSubstr("do not ascend"));
  folder.write("a.bin.offsets", raw_bytes<uint64_t>({1, 5}));
  EXPECT_THAT(message(), HasSubstr("do not ascend"));
  std::filesystem::remove(folder / "a.bin.offsets");
  EXPECT_THAT(message(), HasSubstr("there is no file"));
  folder.write("a.bin.offsets", offsets);
  folder.write("a.bin.json", car.substr(0, car.size() / 2));
  EXPECT_THAT(message(), AllOf(HasSubstr("a.bin.json"), HasSubstr("not valid JSON")));
  folder.write("a.bin.json", R"({"format": "skipattn-tokens", "version": 2})");
  EXPECT_THAT(message(), HasSubstr("version 2"));
}

TEST(TokenFiles, DamageIsFoundOnRequest) {
  const io::TestFolder folder;
  const auto path = write_documents(folder, "a.bin", {50});
  std::string tokens = slurp(path);
  tokens[60] ^= 1;
  folder.write("a.bin", tokens);
  EXPECT_NO_THROW(TokenFiles({path}));
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles({path}, {.end_of_text = {}, .verify_checksums = true}); }),
              HasSubstr("is damaged: its checksum"));
}

TEST(TokenFiles, ShardsMustAgree) {
  const io::TestFolder folder;
  const auto path = write_documents(folder, "a.bin", {5});
  const auto wide = write_documents(folder, "wide.bin", {5}, 0, 70000);
  TokenFileWriter other(folder / "other.bin", {.vocab_size = 50000, .vocab_hash = 8, .end_of_text = {}});
  other.append(counting(0, 3));
  other.end_document(1);
  other.commit();
  const auto raw = folder.write("raw.bin", "1234").string();
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles({path, wide}); }), HasSubstr("their ids take 2 and 4 bytes"));
  EXPECT_THAT(error_of<InputError>([&] {
                TokenFiles({path, (folder / "other.bin").string()});
              }),
              HasSubstr("different vocabularies"));
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles({path, raw}); }), HasSubstr("only one of them has a side-car"));
}

TEST(TokenFiles, AnotherEndOfTextThanTheSideCarsIsRefused) {
  const io::TestFolder folder;
  TokenFileWriter writer(folder / "a.bin", {.vocab_size = 50, .vocab_hash = 8, .end_of_text = 3});
  writer.append(counting(10, 3));
  writer.end_document(1);
  writer.commit();
  const std::vector<std::string> paths = {(folder / "a.bin").string()};
  EXPECT_NO_THROW(TokenFiles(paths, {.end_of_text = 3}));
  EXPECT_THAT(error_of<InputError>([&] { TokenFiles(paths, {.end_of_text = 4}); }),
              HasSubstr("end_of_text = 4 does not fit"));
}

}  // namespace
}  // namespace skipattn::data
