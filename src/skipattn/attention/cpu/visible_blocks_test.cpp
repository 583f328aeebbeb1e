#include "skipattn/attention/cpu/visible_blocks.h"

#include <gtest/gtest.h>

#include "skipattn/core/random.h"

namespace skipattn::attention::cpu {
namespace {

/// Counts, for one batch element, how often each (query, key) is computed and how many blocks hold
/// each query.
struct Coverage {
  std::vector<int> keys;     // [T * S]
  std::vector<int> queries;  // [T]
};

Coverage cover(const Visibility& v, const std::vector<QueryBlock>& blocks, int64_t batch) {
  Coverage result{std::vector<int>(v.queries * v.keys), std::vector<int>(v.queries)};
  for (const QueryBlock& block : blocks) {
    if (batch < block.batch_begin || batch >= block.batch_end) continue;
    for (int64_t query = block.begin; query < block.end; ++query) {
      ++result.queries[query];
      for (const KeyRange& range : block.ranges) {
        int seen = 0;
        for (int64_t key = range.begin; key < range.end; ++key) {
          bool sees = true;
          if (range.mask == Mask::kCausal) sees = key - range.begin <= query - block.begin;
          if (range.mask == Mask::kExplicit) sees = key >= v.first(batch, query) && key < v.end(query);
          result.keys[query * v.keys + key] += sees;
          seen += sees;
        }
        EXPECT_GT(seen, 0) << "a query that sees nothing of a range: " << query;
      }
    }
  }
  return result;
}

void expect_exact(const Visibility& v, const BlockLimits& limits) {
  const auto blocks = find_visible_blocks(v, limits);
  for (const QueryBlock& block : blocks) {
    if (block.ranges.empty()) continue;
    EXPECT_LE(block.end - block.begin, limits.rows);
    for (size_t i = 0; i < block.ranges.size(); ++i) {
      const KeyRange& range = block.ranges[i];
      if (range.mask == Mask::kCausal) {
        EXPECT_EQ(range.end - range.begin, block.end - block.begin);
      }
      if (range.mask == Mask::kExplicit) {
        EXPECT_LE(block.end - block.begin, limits.masked_rows);
      }
      if (i > 0) {
        EXPECT_GE(range.begin, block.ranges[i - 1].end);
      }
    }
  }
  for (int64_t batch = 0; batch < v.batch; ++batch) {
    const Coverage coverage = cover(v, blocks, batch);
    for (int64_t query = 0; query < v.queries; ++query) {
      ASSERT_EQ(coverage.queries[query], 1) << "query " << query;
      for (int64_t key = 0; key < v.keys; ++key) {
        const bool visible = key >= v.first(batch, query) && key < v.end(query);
        ASSERT_EQ(coverage.keys[query * v.keys + key], visible) << "query " << query << " key " << key;
      }
    }
  }
}

TEST(VisibleBlocks, NoFirstKeyNeedsNoMask) {
  const KeyRange square{0, 9, Mask::kCausal};
  EXPECT_EQ(find_visible_blocks({2, 9, 9, true, nullptr}, {}), (std::vector<QueryBlock>{{0, 2, 0, 9, {square}}}));
  const std::vector<KeyRange> after_cache = {{0, 5, Mask::kNone}, {5, 9, Mask::kCausal}};
  EXPECT_EQ(find_visible_blocks({2, 4, 9, true, nullptr}, {}), (std::vector<QueryBlock>{{0, 2, 0, 4, after_cache}}));
  const KeyRange all{0, 9, Mask::kNone};
  EXPECT_EQ(find_visible_blocks({2, 4, 9, false, nullptr}, {}), (std::vector<QueryBlock>{{0, 2, 0, 4, {all}}}));
  EXPECT_EQ(find_visible_blocks({2, 1, 9, true, nullptr}, {}), (std::vector<QueryBlock>{{0, 2, 0, 1, {all}}}));
}

TEST(VisibleBlocks, LongDocumentsNeedNoMask) {
  std::vector<int32_t> first(300);
  std::fill(first.begin() + 100, first.end(), 100);
  const auto blocks = find_visible_blocks({1, 300, 300, true, first.data()}, {});
  ASSERT_EQ(blocks.size(), 2);
  EXPECT_EQ(blocks[0].ranges, (std::vector<KeyRange>{{0, 100, Mask::kCausal}}));
  EXPECT_EQ(blocks[1].ranges, (std::vector<KeyRange>{{100, 300, Mask::kCausal}}));
}

TEST(VisibleBlocks, PaddingAndWindowsSkipWhatNobodySees) {
  std::vector<int32_t> padding(300, 120);
  const auto padded = find_visible_blocks({1, 300, 300, true, padding.data()}, {});
  ASSERT_EQ(padded.size(), 2);
  EXPECT_TRUE(padded[0].ranges.empty());
  EXPECT_EQ(padded[1].ranges, (std::vector<KeyRange>{{120, 300, Mask::kCausal}}));

  std::vector<int32_t> window(1000);
  for (int i = 0; i < 1000; ++i) window[i] = std::max(0, i - 49);
  for (const auto& block : find_visible_blocks({1, 1000, 1000, true, window.data()}, {})) {
    ASSERT_EQ(block.ranges.size(), 1);
    EXPECT_LE(block.ranges[0].end - block.ranges[0].begin, 256 + 49);
  }
}

TEST(VisibleBlocks, EveryVisibleKeyExactlyOnce) {
  Random random(3);
  for (int turn = 0; turn < 200; ++turn) {
    const auto queries = static_cast<int64_t>(1 + random.below(90)), keys = static_cast<int64_t>(random.below(120));
    const auto batch = static_cast<int64_t>(1 + random.below(3));
    std::vector<int32_t> first(batch * queries);
    int32_t value = -3;
    for (int32_t& item : first) {
      if (random.below(12) == 0) value = static_cast<int32_t>(random.below(130)) - 5;
      item = value;
    }
    const BlockLimits limits{.rows = turn % 3 == 0 ? 16 : 1000, .masked_rows = 20, .unmasked_rows = 10};
    const int32_t* data = turn % 5 == 0 ? nullptr : first.data();
    expect_exact({batch, queries, keys, turn % 2 == 0, data}, limits);
  }
}

}  // namespace
}  // namespace skipattn::attention::cpu
