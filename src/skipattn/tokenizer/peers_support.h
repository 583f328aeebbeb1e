// What the tests share that compare with the packages people use.
#pragma once

#include <sys/wait.h>

#include "skipattn/tokenizer/pattern/character_class.h"
#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer::test {

struct Outcome {
  int code;          // exit code; 77: something is missing
  std::string text;  // what was printed
};

/// Runs a script that stands beside the tests, with the python that ctest names; `folder` gets its log.
inline Outcome run_script(const char* script, const std::string& arguments, const fs::path& folder) {
  const char* const python = std::getenv("SKIPATTN_PYTHON");
  const char* const source = std::getenv("SKIPATTN_SOURCE_DIR");
  if (!python || !source) return {77, "SKIPATTN_PYTHON or SKIPATTN_SOURCE_DIR is not set"};
  const fs::path log = folder / "check.log";
  const std::string command = fmt::format(
      "TOKENIZERS_PARALLELISM=true PYTHONDONTWRITEBYTECODE=1 '{}' '{}/src/skipattn/tokenizer/{}' {} > '{}' 2>&1",
      python, source, script, arguments, log.string());
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1, read_text(log)};
}

#define EXPECT_EQUAL_TO_PEERS(check)                                    \
  const Outcome outcome = check;                                        \
  if (outcome.code == 77) GTEST_SKIP() << "no peers: " << outcome.text; \
  EXPECT_EQ(outcome.code, 0) << outcome.text

/// Every code point below `end` after each of these, in many documents.
inline std::vector<std::string> every_code_point(const std::vector<std::string>& neighbours, uint32_t end = 0x110000) {
  std::vector<std::string> texts;
  for (uint32_t c = 0; c < end; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c % 4096 == 0) texts.emplace_back();
    for (const std::string& before : neighbours) texts.back() += before + utf8(c);
    texts.back() += "\n";
  }
  return texts;
}

/// Awkward text of every length up to 300 pieces, without its broken bytes: the peers take only UTF-8.
inline std::vector<std::string> random_texts() {
  Random random(11);
  std::vector<std::string> texts;
  while (texts.size() < 300) {
    std::string valid;
    const CharacterTable& table = CharacterTable::instance();
    const std::string text = random_text(random, texts.size());
    for (std::size_t i = 0; i < text.size();) {
      const Character character = table.decode(&text[i], text.data() + text.size());
      if (character.bytes > 1 || static_cast<unsigned char>(text[i]) < 0x80) valid += text.substr(i, character.bytes);
      i += character.bytes;
    }
    texts.push_back(valid);
  }
  return texts;
}

}  // namespace skipattn::tokenizer::test
