#include "skipattn/tokenizer/vocabulary_files.h"

#include <functional>

#include "skipattn/tokenizer/byte_alphabet.h"
#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::input_error_of;
using test::TemporaryFolder;

/// 256 bytes, "ab", "abc", <|endoftext|>.
Vocabulary small_vocabulary() {
  Vocabulary vocabulary;
  for (const char byte : bytes_in_alphabet_order()) {
    vocabulary.byte_ids[static_cast<unsigned char>(byte)] = static_cast<uint32_t>(vocabulary.tokens.size());
    vocabulary.tokens.emplace_back(1, byte);
  }
  const auto& ids = vocabulary.byte_ids;
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"ab", "abc", std::string(kEndOfText)});
  vocabulary.merges = {{ids['a'], ids['b'], 256}, {256, ids['c'], 257}};
  vocabulary.added = {{258, std::string(kEndOfText), true}};
  return vocabulary;
}

/// The error of reading a folder of these files after `change` was made to them.
std::string error_after(const std::function<void(const fs::path&)>& change) {
  const TemporaryFolder folder;
  write_vocabulary(small_vocabulary(), folder.path());
  change(folder.path());
  return input_error_of([&] { read_vocabulary(folder.path()); });
}
std::string error_of_json(const std::function<void(json&)>& change) {
  return error_after([&](const fs::path& folder) {
    json file = json::parse(test::read_text(folder / "tokenizer.json"));
    change(file);
    test::write_text(folder / "tokenizer.json", file.dump());
  });
}
std::string error_of_vocab(const std::function<void(json&)>& change) {
  return error_after([&](const fs::path& folder) {
    fs::remove(folder / "tokenizer.json");
    json file = json::parse(test::read_text(folder / "vocab.json"));
    change(file);
    test::write_text(folder / "vocab.json", file.dump());
  });
}
std::string error_of_merges(std::string_view text) {
  return error_after([&](const fs::path& folder) {
    fs::remove(folder / "tokenizer.json");
    test::write_text(folder / "merges.txt", text);
  });
}

#define EXPECT_HAS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << "in: " << (text)

TEST(VocabularyFiles, BothFormsComeBackAsTheyWere) {
  for (const bool with_tokenizer_json : {true, false}) {
    const TemporaryFolder folder;
    write_vocabulary(small_vocabulary(), folder.path() / "new" / "folder");
    if (!with_tokenizer_json) fs::remove(folder.path() / "new" / "folder" / "tokenizer.json");
    EXPECT_EQ(read_vocabulary(folder.path() / "new" / "folder"), small_vocabulary());
  }
}

TEST(VocabularyFiles, Gpt2sFilesAreWrittenAsTheyWerePublished) {
  SKIPATTN_NEEDS_SHARED_DATA();
  const TemporaryFolder published, ours;
  test::unpack_gpt2(published.path());
  const Vocabulary vocabulary = read_vocabulary(published.path());
  EXPECT_EQ(vocabulary.tokens.size(), 50257u);
  EXPECT_EQ(vocabulary.merges.size(), 50000u);
  ASSERT_EQ(vocabulary.added.size(), 1u);
  EXPECT_EQ(vocabulary.added[0].id, 50256u);
  write_vocabulary(vocabulary, ours.path());
  for (const char* name : {"vocab.json", "merges.txt"})
    EXPECT_TRUE(test::read_text(ours.path() / name) == test::read_text(published.path() / name)) << name;
  EXPECT_EQ(read_vocabulary(ours.path()), vocabulary);  // from tokenizer.json
}

TEST(VocabularyFiles, OtherSpellingsOfTheSameAreRead) {
  const TemporaryFolder folder;
  write_vocabulary(small_vocabulary(), folder.path());
  json file = json::parse(test::read_text(folder.path() / "tokenizer.json"));
  file["model"]["merges"] = json::parse(R"([["a", "b"], ["ab", "c"]])");
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", json::array({file["pre_tokenizer"]})}};
  file["pre_tokenizer"]["pretokenizers"][0].erase("use_regex");
  file["model"]["vocab"].erase("<|endoftext|>");
  test::write_text(folder.path() / "tokenizer.json", file.dump());
  EXPECT_EQ(read_vocabulary(folder.path()), small_vocabulary());

  fs::remove(folder.path() / "tokenizer.json");
  test::write_text(folder.path() / "merges.txt", "a b\r\nab c\r\n");
  EXPECT_EQ(read_vocabulary(folder.path()), small_vocabulary());

  test::write_text(folder.path() / "added_tokens.json", R"({"pad me": 259})");
  const Vocabulary vocabulary = read_vocabulary(folder.path());
  EXPECT_EQ(vocabulary.tokens.back(), "pad me");
  EXPECT_EQ(vocabulary.added.size(), 2u);
}

TEST(VocabularyFiles, MissingFilesAreNamed) {
  EXPECT_HAS(input_error_of([] { read_vocabulary("/no/such/folder"); }), "'/no/such/folder' is not a folder");
  const TemporaryFolder folder;
  EXPECT_HAS(input_error_of([&] { read_vocabulary(folder.path()); }), "neither tokenizer.json nor vocab.json");
  test::write_text(folder.path() / "vocab.json", "{}");
  EXPECT_HAS(input_error_of([&] { read_vocabulary(folder.path()); }), "has vocab.json but no merges.txt");
}

TEST(VocabularyFiles, DamagedFilesAreRefused) {
  const auto cut = [](const char* name) {
    return error_after([&](const fs::path& folder) {
      if (name != std::string("tokenizer.json")) fs::remove(folder / "tokenizer.json");
      const std::string text = test::read_text(folder / name);
      test::write_text(folder / name, text.substr(0, text.size() / 2));
    });
  };
  EXPECT_HAS(cut("vocab.json"), "vocab.json' is not valid JSON");
  EXPECT_HAS(cut("tokenizer.json"), "tokenizer.json' is not valid JSON");
  EXPECT_HAS(error_of_merges("#version: 0.2\na b\n"), "no merge makes the token \"abc\" (id 257)");
  EXPECT_HAS(error_of_merges("#version: 0.2\na b\nab"), "line 3 must be two tokens with one space between");
  EXPECT_HAS(error_of_merges("a b c\n"), "line 1 must be two tokens");
  EXPECT_HAS(error_of_merges("a b\nab c\nab zz\n"), "merge 3 (\"ab zz\") names \"zz\"");
  EXPECT_HAS(error_of_merges("a b\nab c\na c\n"), "merge 3 (\"a c\") makes \"ac\"");
}

TEST(VocabularyFiles, WrongIdsAreRefused) {
  EXPECT_HAS(error_of_vocab([](json& v) { v["ab"] = 12; }), "the id 12 is given to");
  EXPECT_HAS(error_of_vocab([](json& v) { v["ab"] = 259; }), "the ids of 259 tokens must be 0..258");
  EXPECT_HAS(error_of_vocab([](json& v) { v["ab"] = -1; }), "has the id -1");
  EXPECT_HAS(error_of_vocab([](json& v) { v["ab"] = "x"; }), "must be a whole number, it is a string");
  EXPECT_HAS(error_of_vocab([](json& v) { v = json::array(); }), "must hold a JSON object of tokens");
  EXPECT_HAS(error_of_vocab([](json& v) { v = json::object(); }), "no token");
  EXPECT_HAS(error_of_vocab([](json& v) {
               v["<x>"] = v["Ġ"];
               v.erase("Ġ");
             }),
             "has no token \"Ġ\" for the byte 0x20");
}

TEST(VocabularyFiles, OtherSchemesAreRefusedAllReasonsAtOnce) {
  const std::string error = error_of_json([](json& f) {
    f["model"]["type"] = "Unigram";
    f["model"]["end_of_word_suffix"] = "</w>";
    f["normalizer"] = {{"type", "NFKC"}};
    f["pre_tokenizer"] = {{"type", "Metaspace"}};
    f["post_processor"] = {{"type", "BertProcessing"}};
  });
  for (const char* part : {"the model is \"Unigram\"", "end_of_word_suffix is \"</w>\"", "the normalizer is NFKC",
                           "the pre-tokenizer is Metaspace", "the post-processor is BertProcessing"})
    EXPECT_HAS(error, part);
  EXPECT_HAS(error_of_json([](json& f) { f["pre_tokenizer"] = nullptr; }), "absent");
  EXPECT_HAS(error_of_json([](json& f) { f["model"]["dropout"] = 0.1; }), "dropout");
}

TEST(VocabularyFiles, WhatOtherByteLevelKindsMayNotHave) {
  const json last = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto error_of_steps = [&](std::vector<json> steps) {
    return error_of_json([&](json& f) { f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", steps}}; });
  };
  const auto split = [](const char* behavior, json pattern) {
    return json{{"type", "Split"}, {"behavior", behavior}, {"invert", false}, {"pattern", pattern}};
  };
  EXPECT_HAS(error_of_steps({split("MergedWithNext", {{"Regex", "a"}}), last}), "only Isolated and Removed");
  EXPECT_HAS(error_of_steps({split("Isolated", 5), last}), "a \"Regex\" or \"String\" is supported");
  EXPECT_HAS(error_of_steps({split("Isolated", {{"Regex", "a"}})}), "ByteLevel is absent");
  EXPECT_HAS(error_of_steps({split("Isolated", {{"Regex", "(?P<x>a)"}}), last}), "a group of this kind");
  EXPECT_HAS(error_of_steps({last, {{"type", "Digits"}}}), "Digits comes after ByteLevel");
  EXPECT_HAS(error_of_steps({{{"type", "Whitespace"}}, last}), "the pre-tokenizer is Whitespace");
  EXPECT_HAS(error_of_steps({{{"type", "Digits"}}, {{"type", "ByteLevel"}, {"add_prefix_space", true}}}),
             "add_prefix_space of ByteLevel is true after another");
  EXPECT_HAS(error_of_json([](json& f) {
               f["post_processor"] = {{"type", "TemplateProcessing"},
                                      {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}},
                                      {"special_tokens", json::object()}};
             }),
             "names \"<s>\", which is none of its special tokens");
  EXPECT_HAS(error_of_json([](json& f) {
               f["post_processor"] = {{"type", "TemplateProcessing"},
                                      {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}},
                                      {"special_tokens", {{"<s>", {{"ids", {999}}}}}}};
             }),
             "the post-processor's template has the id 999");
}

TEST(VocabularyFiles, WhatByteFallbackKindsMayNotHave) {
  const auto error_of = [](const std::function<void(json&)>& change) {
    return error_of_json([&](json& f) {
      f["model"]["byte_fallback"] = true;
      f["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
      f["decoder"] = nullptr;
      change(f);
    });
  };
  EXPECT_HAS(error_of([](json&) {}), "no token \"<0x00>\" for the byte 0x00, a byte_fallback vocabulary");
  EXPECT_HAS(error_of([](json& f) { f["pre_tokenizer"] = nullptr; }), "nothing writes a space as");
  EXPECT_HAS(error_of([](json& f) { f["pre_tokenizer"]["replacement"] = "_"; }),
             "the replacement of Metaspace is \"_\"");
  EXPECT_HAS(error_of([](json& f) { f["pre_tokenizer"]["prepend_scheme"] = "last"; }), "prepend_scheme");
  EXPECT_HAS(error_of([](json& f) { f["pre_tokenizer"]["type"] = "ByteLevel"; }), "only Metaspace alone");
  EXPECT_HAS(error_of([](json& f) { f["model"]["ignore_merges"] = true; }), "ignore_merges and byte_fallback");
  EXPECT_HAS(error_of([](json& f) { f["decoder"] = {{"type", "ByteLevel"}}; }), "the decoder ByteLevel is");
  EXPECT_HAS(error_of([](json& f) {
               f["normalizer"] = {{"type", "Prepend"}, {"prepend", "▁"}};
             }),
             "Metaspace comes after the normalizer Prepend");
  EXPECT_HAS(error_of([](json& f) { f["normalizer"] = {{"type", "Precompiled"}}; }), "the normalizer Precompiled is");
}

TEST(VocabularyFiles, TheTokenThatEndsADocument) {
  const auto end_of = [](const char* config, const char* added) {
    const TemporaryFolder folder;
    write_vocabulary(small_vocabulary(), folder.path());
    json file = json::parse(test::read_text(folder.path() / "tokenizer.json"));
    file["model"]["vocab"].erase("<|endoftext|>");
    file["added_tokens"][0]["content"] = added;
    test::write_text(folder.path() / "tokenizer.json", file.dump());
    test::write_text(folder.path() / "tokenizer_config.json", config);
    return Tokenizer::load(folder.path()).end_of_text();
  };
  EXPECT_EQ(end_of("{}", "</s>"), 258);
  EXPECT_EQ(end_of("{}", "<stop>"), std::nullopt);
  EXPECT_EQ(end_of(R"({"eos_token": "<stop>"})", "<stop>"), 258);
  EXPECT_EQ(end_of(R"({"eos_token": {"content": "<stop>"}})", "<stop>"), 258);
  EXPECT_EQ(end_of(R"({"eos_token": "<other>"})", "<stop>"), std::nullopt);
}

TEST(VocabularyFiles, MalformedTokenizerJsonIsRefused) {
  EXPECT_HAS(error_of_json([](json& f) { f = 3; }), "with a \"model\" object");
  EXPECT_HAS(error_of_json([](json& f) { f["model"].erase("merges"); }), "a list of \"merges\"");
  EXPECT_HAS(error_of_json([](json& f) { f["model"]["merges"][0] = 5; }), "merge 1 must be");
  EXPECT_HAS(error_of_json([](json& f) { f["model"]["type"] = 5; }), "the model is 5");
  EXPECT_HAS(error_of_json([](json& f) { f["pre_tokenizer"]["type"] = 5; }), "the pre-tokenizer is 5");
  EXPECT_HAS(error_of_json([](json& f) {
               f["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", 5}};
             }),
             "the pre-tokenizer is Sequence");
  EXPECT_HAS(error_of_json([](json& f) { f["model"]["vocab"] = 5; }), "tokens and their ids, it holds a number");
  EXPECT_HAS(error_of_json([](json& f) { f["added_tokens"][0] = 5; }), "must hold a JSON object");
  EXPECT_HAS(error_of_json([](json& f) { f["added_tokens"] = 5; }), "must be a list");
  EXPECT_HAS(error_of_json([](json& f) { f["added_tokens"][0].erase("id"); }), "has no \"id\"");
  EXPECT_HAS(error_of_json([](json& f) { f["added_tokens"][0]["id"] = 7; }), "has the id 7 here and 258 there");
  EXPECT_HAS(error_of_json([](json& f) { f["added_tokens"][0]["single_word"] = true; }), "single_word = true");
}

TEST(VocabularyFiles, AFolderThatCannotBeMadeIsTheMachinesFault) {
  const TemporaryFolder folder;
  test::write_text(folder.path() / "file", "");
  EXPECT_THROW(write_vocabulary(small_vocabulary(), folder.path() / "file" / "below"), RunError);
}

}  // namespace
}  // namespace skipattn::tokenizer
