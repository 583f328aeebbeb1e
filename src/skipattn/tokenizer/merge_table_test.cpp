#include "skipattn/tokenizer/merge_table.h"

#include <chrono>
#include <map>

#include "skipattn/tokenizer/test_support.h"

namespace skipattn::tokenizer {
namespace {

/// Merges of random pairs, so that ranks need not follow lengths: as hard as a vocabulary can be.
Vocabulary random_vocabulary(uint64_t seed, std::size_t merges) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    vocabulary.byte_ids[byte] = static_cast<uint32_t>(byte);
  }
  Random random(seed);
  std::vector<uint32_t> pool = {'a', 'b', 'c'};
  std::map<std::pair<uint32_t, uint32_t>, bool> known;
  while (vocabulary.merges.size() < merges) {
    const uint32_t left = pool[random.below(pool.size())], right = pool[random.below(pool.size())];
    const auto result = static_cast<uint32_t>(vocabulary.tokens.size());
    if (known[{left, right}]) continue;
    known[{left, right}] = true;
    vocabulary.tokens.push_back(vocabulary.tokens[left] + vocabulary.tokens[right]);
    vocabulary.merges.push_back({left, right, result});
    pool.push_back(result);
  }
  random.shuffle(vocabulary.merges);
  return vocabulary;
}

/// The definition: look at all pairs, merge the leftmost of the lowest rank, begin again.
std::vector<uint32_t> merged_slowly(const Vocabulary& vocabulary, std::string_view text) {
  std::vector<uint32_t> ids;
  for (const char byte : text) ids.push_back(vocabulary.byte_ids[static_cast<unsigned char>(byte)]);
  for (;;) {
    std::size_t best_rank = vocabulary.merges.size(), best = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      for (std::size_t rank = 0; rank < best_rank; ++rank)
        if (vocabulary.merges[rank].left == ids[i] && vocabulary.merges[rank].right == ids[i + 1]) {
          best_rank = rank;
          best = i;
        }
    if (best_rank == vocabulary.merges.size()) return ids;
    ids[best] = vocabulary.merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(MergeTable, MergesInTheOrderOfRanksAtEveryLength) {
  Random random(5);
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const Vocabulary vocabulary = random_vocabulary(seed, 40);
    const MergeTable table(vocabulary);
    for (std::size_t length = 0; length < 150; ++length) {
      std::string text(length, ' ');
      for (char& byte : text) byte = "abcx"[random.below(seed == 0 ? 2 : 4)];
      std::vector<uint32_t> ids = {7};  // what is there already stays
      table.merge(text, ids);
      std::vector<uint32_t> expected = merged_slowly(vocabulary, text);
      expected.insert(expected.begin(), 7);
      ASSERT_EQ(ids, expected) << text;
    }
  }
}

TEST(MergeTable, PairsThatDoNotMergeHaveNoRank) {
  const MergeTable table(random_vocabulary(1, 10));
  EXPECT_EQ(table.find('x', 'y').rank, MergeTable::kNoRank);
  std::size_t found = 0;
  for (uint32_t rank = 0; rank < 10; ++rank) {
    const Merge merge = random_vocabulary(1, 10).merges[rank];
    found +=
        table.find(merge.left, merge.right).rank == rank && table.find(merge.left, merge.right).result == merge.result;
  }
  EXPECT_EQ(found, 10u);
}

TEST(MergeTable, MegabytesOfOneLetterAreNotQuadratic) {
  const Vocabulary vocabulary = random_vocabulary(2, 40);
  const MergeTable table(vocabulary);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<uint32_t> ids;
  table.merge(std::string(4'000'000, 'a'), ids);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(seconds.count(), 20.0);  // about half a second; quadratic would be hours
  std::string together;
  for (const uint32_t id : ids) together += vocabulary.tokens[id];
  EXPECT_EQ(together, std::string(4'000'000, 'a'));
}

}  // namespace
}  // namespace skipattn::tokenizer
