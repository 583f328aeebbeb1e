// Tokenizers of every kind that is supported, made by `tokenizers` itself as models have them: the same ids, of data and of
// prompts, and the same text back. schemes_peer.py makes them and compares.
#include "skipattn/tokenizer/encode_batch.h"
#include "skipattn/tokenizer/peers_support.h"
#include "skipattn/tokenizer/stream_decoder.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using test::Outcome;
using test::TemporaryFolder;

/// A folder with all kinds, trained once for all tests; nothing without the package.
class Kinds {
 public:
  static const Kinds& instance() {
    static const Kinds kinds;
    return kinds;
  }
  const Outcome& made() const { return made_; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      if (entry.is_directory()) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }

 private:
  Kinds() {
    std::string text = "\uFFFD ";  // a token where characters are: no broken byte may become it
    Random random(5);
    for (int i = 0; i < 3000; ++i) text += test::random_words(random, 12) + (i % 5 ? " " : ".\n\n");
    test::write_text(folder_.path() / "train.txt", text);
    made_ = test::run_script("schemes_peer.py", fmt::format("make '{}'", folder_.path().string()), folder_.path());
  }
  TemporaryFolder folder_;
  Outcome made_;
};

#define SKIPATTN_NEEDS_KINDS()                                                                                 \
  if (Kinds::instance().made().code == 77) GTEST_SKIP() << "no tokenizers: " << Kinds::instance().made().text; \
  ASSERT_EQ(Kinds::instance().made().code, 0) << Kinds::instance().made().text

/// Appends an item as schemes_peer.py reads them.
void append_item(std::string& file, std::string_view bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  file.append(reinterpret_cast<const char*>(&size), sizeof(size)).append(bytes);
}
void append_item(std::string& file, const std::vector<uint32_t>& ids) {
  append_item(file, {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(uint32_t)});
}

/// Encodes the texts with every kind and has the ids compared.
void expect_equal_to_tokenizers(const std::vector<std::string>& texts, const std::vector<std::string>& kinds,
                                bool prompts = true) {
  const TemporaryFolder folder;
  std::string all;
  for (const std::string& text : texts) append_item(all, text);
  test::write_text(folder.path() / "texts", all);
  const std::vector<std::string_view> documents(texts.begin(), texts.end());
  for (const std::string& kind : kinds) {
    const fs::path place = folder.path() / kind;
    fs::create_directories(place);
    fs::copy_file(Kinds::instance().path(kind) / "tokenizer.json", place / "tokenizer.json");
    const Tokenizer tokenizer = Tokenizer::load(place);
    std::string data, text, prompt;
    for (const std::vector<uint32_t>& ids : encode_batch(tokenizer, documents, 2)) {
      append_item(data, ids);
      append_item(text, tokenizer.decode(ids));
    }
    test::write_text(place / "data", data);
    test::write_text(place / "text", text);
    if (!prompts) continue;
    for (const std::string& one : texts)
      append_item(prompt, tokenizer.encode_with_special(one, /*add_special_tokens=*/true));
    test::write_text(place / "prompt", prompt);
  }
  const Outcome outcome =
      test::run_script("schemes_peer.py", fmt::format("check '{}'", folder.path().string()), folder.path());
  EXPECT_EQ(outcome.code, 0) << outcome.text;
}

TEST(Schemes, RandomText) {
  SKIPATTN_NEEDS_KINDS();
  std::vector<std::string> texts = test::random_texts();
  texts.push_back("");
  expect_equal_to_tokenizers(texts, Kinds::instance().names());
}

TEST(Schemes, AddedTokensAndWhatTheyTake) {
  SKIPATTN_NEEDS_KINDS();
  static const std::vector<std::string> kPieces = {
      "<|begin|>",  "<|end|>",    "<s>",         "</s>", "<unk>", "<tool>", "<mask>", "<|end", "end",
      "cafe\u0301", "caf\u00E9e", "cafe\u0301e", " ",    "  ",    "    ",   "\u2581", "\n",    "\t ",
      "\u3000",     "a",          "the",         "1",    ".",     "\u0301", "\u00E9"};
  Random random(3);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 500; ++i) {
    texts.emplace_back();
    for (std::size_t n = 0; n < 1 + i / 20; ++n) texts.back() += kPieces[random.below(kPieces.size())];
  }
  expect_equal_to_tokenizers(texts, Kinds::instance().names());
}

TEST(Schemes, EveryCodePoint) {
  SKIPATTN_NEEDS_KINDS();
  expect_equal_to_tokenizers(test::every_code_point({"a"}), {"llama3"}, /*prompts=*/false);
}

TEST(Schemes, EveryCodePointOfTheFirstPlanes) {
  SKIPATTN_NEEDS_KINDS();
  expect_equal_to_tokenizers(test::every_code_point({"'", "A"}, 0x20000),
                             {"qwen2", "gpt4o", "words", "deepseek", "starcoder", "llama2"},
                             /*prompts=*/false);
}

TEST(Schemes, Books) {
  SKIPATTN_NEEDS_SHARED_DATA();
  SKIPATTN_NEEDS_KINDS();
  std::vector<std::string> texts = test::books("val.jsonl.xz", 2);
  for (std::string& text : texts) text.resize(test::end_of_character(text, 40'000));
  expect_equal_to_tokenizers(texts, Kinds::instance().names());
}

TEST(Schemes, WhatIsSavedIsTheSame) {
  SKIPATTN_NEEDS_KINDS();
  for (const std::string& name : Kinds::instance().names()) {
    const Tokenizer tokenizer = Tokenizer::load(Kinds::instance().path(name));
    const TemporaryFolder folder;
    tokenizer.save(folder.path());
    EXPECT_EQ(test::read_text(folder.path() / "tokenizer.json"),
              test::read_text(Kinds::instance().path(name) / "tokenizer.json"));
    EXPECT_EQ(Tokenizer::load(folder.path()).hash(), tokenizer.hash());
  }
}

TEST(Schemes, EachKindHasItsOwnHash) {
  SKIPATTN_NEEDS_KINDS();
  std::set<uint64_t> hashes;
  for (const std::string& name : Kinds::instance().names())
    hashes.insert(Tokenizer::load(Kinds::instance().path(name)).hash());
  EXPECT_EQ(hashes.size(), Kinds::instance().names().size());
}

TEST(Schemes, AnyBytesComeBack) {
  SKIPATTN_NEEDS_KINDS();
  Random random(9);
  for (const std::string& name : Kinds::instance().names()) {
    const Tokenizer tokenizer = Tokenizer::load(Kinds::instance().path(name));
    const Scheme& scheme = tokenizer.vocabulary().scheme;
    const bool drops = std::any_of(scheme.steps.begin(), scheme.steps.end(), [](auto& s) { return s.drop_matches; });
    if (scheme.nfc || drops) continue;  // they change text
    for (int i = 0; i < 200; ++i) {
      const std::string text = "x" + test::random_bytes(random, random.below(200));
      const std::string back = tokenizer.decode(tokenizer.encode(text));
      const bool prefixed = scheme.prefix == PrefixSpace::kUnlessThere && scheme.drop_prefix == DropPrefix::kNothing;
      ASSERT_EQ(prefixed ? " " + text : text, back) << name;
    }
  }
}

TEST(Schemes, DecodingInAStreamGivesTheSameText) {
  SKIPATTN_NEEDS_KINDS();
  for (const std::string& name : Kinds::instance().names()) {
    const Tokenizer tokenizer = Tokenizer::load(Kinds::instance().path(name));
    for (const char* text : {"the house  of 日本", "  spaces", "", " ", "\n"}) {
      const std::vector<uint32_t> ids = tokenizer.encode(text);
      StreamDecoder decoder(tokenizer);
      std::string streamed;
      for (const uint32_t id : ids) streamed += decoder.push(id);
      EXPECT_EQ(streamed, tokenizer.decode(ids)) << name;
      StreamDecoder later(tokenizer, /*begins=*/false);
      std::string bytes;
      for (const uint32_t id : ids) bytes += tokenizer.token(id);
      std::string continued;
      for (const uint32_t id : ids) continued += later.push(id);
      EXPECT_EQ(continued, bytes) << name;
    }
  }
}

TEST(Schemes, CutDocumentsHaveTheSameIds) {
  SKIPATTN_NEEDS_KINDS();
  Random random(4);
  std::string text;
  for (int i = 0; i < 40; ++i) text += test::random_words(random, 9) + test::random_text(random, 6) + " ";
  for (const std::string& name : Kinds::instance().names()) {
    const Tokenizer tokenizer = Tokenizer::load(Kinds::instance().path(name));
    const std::vector<uint32_t> whole = tokenizer.encode(text);
    const bool nowhere = name == "bloom" || name == "words" || name == "deepseek" || name == "joined" ||
                         name == "neox" || name == "numbers" || name == "phi3";
    EXPECT_EQ(tokenizer.safe_cut(text, 1) == text.size(), nowhere) << name;
    for (std::size_t from = 1; from < text.size(); ++from) {
      const std::size_t cut = tokenizer.safe_cut(text, from);
      ASSERT_TRUE(cut >= from && cut <= text.size());
      std::vector<uint32_t> parts;
      tokenizer.encode(std::string_view(text).substr(0, cut), parts);
      tokenizer.encode(std::string_view(text).substr(cut), parts, /*begins=*/false);
      ASSERT_EQ(parts, whole) << name << " cut at " << cut;
    }
  }
}

}  // namespace
}  // namespace skipattn::tokenizer
