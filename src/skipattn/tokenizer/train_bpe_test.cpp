#include "skipattn/tokenizer/train_bpe.h"

#include <map>

#include "skipattn/core/stop.h"
#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

/// Slow and plain: counts all pairs anew before every merge. Works on bytes, so it shares no code
/// with train_bpe().
std::vector<std::pair<std::string, std::string>> merges_slowly(const PretokenCounter& counter,
                                                               const Vocabulary& alphabet, std::size_t merges,
                                                               uint64_t least) {
  std::vector<std::pair<std::vector<std::string>, uint64_t>> words;
  for (const auto& [pretoken, times] : counter.sorted()) {
    words.push_back({{}, times});
    for (const char byte : pretoken) words.back().first.emplace_back(1, byte);
  }
  std::map<std::string, uint32_t> ids;
  for (int byte = 0; byte < 256; ++byte) ids[std::string(1, static_cast<char>(byte))] = alphabet.byte_ids[byte];
  std::vector<std::pair<std::string, std::string>> made;
  while (ids.size() < 256 + merges) {
    std::map<std::pair<uint32_t, uint32_t>, std::pair<uint64_t, std::pair<std::string, std::string>>> counts;
    for (const auto& [word, times] : words)
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        auto& entry = counts[{ids[word[i]], ids[word[i + 1]]}];
        entry.first += times;
        entry.second = {word[i], word[i + 1]};
      }
    const std::pair<uint64_t, std::pair<std::string, std::string>>* best = nullptr;
    for (const auto& [pair, entry] : counts)  // ascending ids: the first of equals stays
      if (entry.first >= least && (!best || entry.first > best->first)) best = &entry;
    if (!best) break;
    const auto [left, right] = best->second;
    ids.emplace(left + right, static_cast<uint32_t>(ids.size()));
    made.push_back(best->second);
    for (auto& item : words) {
      std::vector<std::string> merged;
      for (const std::string& symbol : item.first) {
        if (!merged.empty() && merged.back() == left && symbol == right) {
          merged.back() += right;  // longer than left now, so it cannot merge again in this pass
        } else {
          merged.push_back(symbol);
        }
      }
      item.first = merged;
    }
  }
  return made;
}

std::vector<std::pair<std::string, std::string>> merges_of(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string, std::string>> made;
  for (const Merge& merge : vocabulary.merges) {
    EXPECT_EQ(vocabulary.tokens[merge.result], vocabulary.tokens[merge.left] + vocabulary.tokens[merge.right]);
    made.emplace_back(vocabulary.tokens[merge.left], vocabulary.tokens[merge.right]);
  }
  return made;
}

TEST(TrainBpe, EqualsTheSlowTrainer) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    PretokenCounter counter;
    // Few different letters: many ties, many runs of one letter.
    const std::size_t letters = 1 + round % 4;
    for (int i = 0; i < 60; ++i) {
      std::string word;
      for (std::size_t n = random.below(14); n-- > 0;) word += static_cast<char>('a' + random.below(letters));
      for (std::size_t times = 1 + random.below(3); times-- > 0;) counter.add(word);
    }
    const std::size_t merges = 5 + random.below(120);
    const uint64_t least = 1 + random.below(3);
    const Tokenizer tokenizer =
        train_bpe(counter, {.vocab_size = static_cast<int>(257 + merges), .min_frequency = least});
    ASSERT_EQ(merges_of(tokenizer.vocabulary()), merges_slowly(counter, tokenizer.vocabulary(), merges, least))
        << "round " << round;
  }
}

TEST(TrainBpe, EqualsTheSlowTrainerOnABook) {
  SKIPATTN_NEEDS_SHARED_DATA();
  PretokenCounter counter;
  counter.add(std::string_view(test::books("val.jsonl.xz", 1)[0]).substr(0, 60'000));
  const Tokenizer tokenizer = train_bpe(counter, {.vocab_size = 457});
  EXPECT_EQ(merges_of(tokenizer.vocabulary()), merges_slowly(counter, tokenizer.vocabulary(), 200, 2));
}

TEST(TrainBpe, KnownCase) {
  PretokenCounter counter;
  counter.add("aaabdaaabac");  // the textbook's
  const Vocabulary vocabulary = train_bpe(counter, {.vocab_size = 259}).vocabulary();
  EXPECT_EQ(merges_of(vocabulary), (std::vector<std::pair<std::string, std::string>>{{"a", "a"}, {"a", "b"}}));
  EXPECT_EQ(vocabulary.added, (std::vector<AddedToken>{{258, "<|endoftext|>", true}}));
  EXPECT_EQ(vocabulary.tokens[0], "!");  // the bytes have GPT-2's ids
}

TEST(TrainBpe, StopsWhenNothingIsFrequentEnough) {
  PretokenCounter counter;
  counter.add("ab ab cd");
  EXPECT_EQ(train_bpe(counter, {.vocab_size = 1000}).vocab_size(),
            256 + 1 + 1);  // "ab" alone comes twice
  EXPECT_EQ(train_bpe(counter, {.vocab_size = 1000, .min_frequency = 3}).vocab_size(), 257);
}

TEST(TrainBpe, WhatItMakesCanBeUsed) {
  PretokenCounter counter;
  const std::string text = "the cat sat on the mat and the dog sat on the cat";
  counter.add(text);
  const Tokenizer tokenizer = train_bpe(counter, {.vocab_size = 280, .special_tokens = {"<|endoftext|>", "<pad>"}});
  EXPECT_LT(tokenizer.encode(text).size(), text.size() / 2);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.end_of_text(), tokenizer.vocab_size() - 2);
}

TEST(TrainBpe, TellsAllThatIsWrongAtOnce) {
  const std::string error = test::input_error_of([] {
    train_bpe(PretokenCounter(),
              {.vocab_size = 200, .min_frequency = 0, .special_tokens = {"pad", "<x>", "<x>", "", "<\xFF x>"}});
  });
  for (const char* part :
       {"vocab_size = 200 must be at least 261", "min_frequency = 0", "no text to learn from",
        "\"pad\" could be learned", "\"<x>\" is given twice", "\"\" could be learned", "is not UTF-8"})
    EXPECT_NE(error.find(part), std::string::npos) << part << " in: " << error;
}

TEST(TrainBpe, CanBeStopped) {
  PretokenCounter counter;
  counter.add("ab ab");
  request_stop();
  EXPECT_THROW(train_bpe(counter, {.vocab_size = 300}), Stopped);
  clear_stop_request();
}

}  // namespace
}  // namespace skipattn::tokenizer
