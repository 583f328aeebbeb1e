// What the tests of this module share: folders that go away, real data where it is, slow code to
// compare with.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/io/compressed_stream.h"
#include "skipattn/io/json_file.h"
#include "skipattn/tokenizer/pretokens.h"
#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::tokenizer::test {

namespace fs = std::filesystem;

/// A new folder, removed with all in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "skipattn-tokenizer-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void write_text(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const fs::path& path) {
  return io::read_file(path);
}

/// The folder with GPT-2's vocabulary and the books; nothing where it is absent.
inline std::optional<fs::path> shared_data() {
  const char* const named = std::getenv("SKIPATTN_SHARED_DATA");
  const char* const source = std::getenv("SKIPATTN_SOURCE_DIR");
  if (!named && !source) return std::nullopt;
  const fs::path path = named ? fs::path(named) : fs::path(source) / ".." / "shared" / "data";
  return fs::exists(path / "gpt2_bpe") ? std::optional(path) : std::nullopt;
}

/// Puts GPT-2's published vocab.json and merges.txt into a folder.
inline void unpack_gpt2(const fs::path& folder) {
  write_text(folder / "vocab.json", read_text(*shared_data() / "gpt2_bpe" / "encoder.json.xz"));
  write_text(folder / "merges.txt", read_text(*shared_data() / "gpt2_bpe" / "vocab.bpe.xz"));
}

/// GPT-2's tokenizer; call only where shared_data() is there.
inline const Tokenizer& gpt2() {
  static const Tokenizer tokenizer = [] {
    const TemporaryFolder folder;
    unpack_gpt2(folder.path());
    return Tokenizer::load(folder.path());
  }();
  return tokenizer;
}

#define SKIPATTN_NEEDS_SHARED_DATA()                                 \
  if (!test::shared_data())                                          \
  GTEST_SKIP() << "no shared data: set SKIPATTN_SHARED_DATA to its " \
                  "folder"

/// The texts of a file of books, at most `most` of them.
inline std::vector<std::string> books(const std::string& name, std::size_t most = SIZE_MAX) {
  std::istringstream lines(read_text(*shared_data() / "books_pd" / name));
  std::vector<std::string> texts;
  for (std::string line; texts.size() < most && std::getline(lines, line);)
    texts.push_back(nlohmann::json::parse(line)["text"].get<std::string>());
  return texts;
}

/// The pre-tokens of a text.
inline std::vector<std::string> pretokens(std::string_view text) {
  std::vector<std::string> pieces;
  PretokenScanner scanner(text);
  for (std::string_view piece; scanner.next(piece);) pieces.emplace_back(piece);
  return pieces;
}

inline std::string utf8(uint32_t c) {
  std::string text;
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      text += static_cast<char>(0xE0 | c >> 12);
    } else {
      text += static_cast<char>(0xF0 | c >> 18);
      text += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    }
    text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
  }
  return text + static_cast<char>(0x80 | (c & 0x3F));
}

/// Text out of pieces that meet each other in every way: classes, contractions, white space, broken
/// UTF-8.
inline std::string random_text(Random& random, std::size_t pieces) {
  static const std::vector<std::string> kPieces = {"a",
                                                   "s",
                                                   "ll",
                                                   "re",
                                                   "'",
                                                   "'",
                                                   "1",
                                                   "23",
                                                   " ",
                                                   " ",
                                                   "\n",
                                                   "\t",
                                                   "!",
                                                   ".",
                                                   "\xC3\xA9",
                                                   "\xE6\x97\xA5",
                                                   "\xC2\xB2",
                                                   "\xC2\xA0",
                                                   "\xFF",
                                                   "\xE6\x97",
                                                   "\x80",
                                                   "\xED\xA0\x80",
                                                   "\xF0\x9F\x98\x81",
                                                   "\xE3\x80\x80",
                                                   "the",
                                                   "\xC0\xAF"};
  std::string text;
  for (std::size_t i = 0; i < pieces; ++i) text += kPieces[random.below(kPieces.size())];
  return text;
}

/// Words out of syllables, so that vocabularies can be trained on them.
inline std::string random_words(Random& random, std::size_t count) {
  static const std::vector<std::string> kSyllables = {"the", "ing", "er", "on", "ca", "fe",
                                                      "st",  "re",  "ly", "qu", "é"};
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    for (std::size_t n = 1 + random.below(3); n > 0; --n) text += kSyllables[random.below(kSyllables.size())];
  }
  return text;
}

/// The largest place up to `most` where a text of UTF-8 can be cut.
inline std::size_t end_of_character(std::string_view text, std::size_t most) {
  if (most >= text.size()) return text.size();
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return most;
}

inline std::string random_bytes(Random& random, std::size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

/// What `work` throws as InputError; a failure and "" when it throws none.
template <typename Work>
std::string input_error_of(const Work& work) {
  try {
    work();
  } catch (const InputError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no InputError was thrown";
  return "";
}

}  // namespace skipattn::tokenizer::test
