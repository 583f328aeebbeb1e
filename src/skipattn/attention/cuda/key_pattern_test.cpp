#include "skipattn/attention/cuda/key_pattern.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace skipattn::attention::cuda {
namespace {

using Kind = KeyPattern::Kind;

at::Tensor rows(const std::vector<std::vector<int>>& rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row, at::kInt));
  return at::stack(tensors);
}

std::vector<int> starts_of(const KeyPattern& pattern) {
  const at::Tensor starts = pattern.starts;
  return {starts.data_ptr<int>(), starts.data_ptr<int>() + starts.numel()};
}

TEST(KeyPattern, NothingHiddenIsAWholeSequence) {
  for (const bool causal : {true, false}) {
    const KeyPattern pattern = find_key_pattern(rows({{0, 0, -3}, {0, -1, 0}}), 5, causal);
    EXPECT_EQ(pattern.kind, Kind::kSequences);
    EXPECT_EQ(pattern.window, 0);
  }
}

TEST(KeyPattern, Documents) {
  const KeyPattern pattern = find_key_pattern(rows({{0, 0, 2, 2, 2, 5}, {0, 1, 1, 1, 1, 1}}), 6, true);
  EXPECT_EQ(pattern.kind, Kind::kDocuments);
  EXPECT_EQ(starts_of(pattern), (std::vector<int>{0, 2, 5, 6, 7, 12}));
  EXPECT_EQ(pattern.longest, 5);
  EXPECT_EQ(pattern.window, 0);
}

TEST(KeyPattern, WindowsWithAndWithoutACache) {
  const KeyPattern pattern = find_key_pattern(rows({{-2, -1, 0, 1, 2}, {0, 0, 0, 1, 2}}), 5, true);
  EXPECT_EQ(pattern.kind, Kind::kSequences);
  EXPECT_EQ(pattern.window, 3);
  EXPECT_EQ(find_key_pattern(rows({{6, 7}}), 10, true).window, 3);  // queries 8 and 9 of 10
  EXPECT_EQ(find_key_pattern(rows({{6, 7}}), 10, true).kind, Kind::kSequences);
  EXPECT_EQ(find_key_pattern(rows({{7}}), 10, true).window, 3);  // left padding of one sequence, decoding
}

TEST(KeyPattern, DocumentsAndAWindowTogether) {
  const KeyPattern pattern = find_key_pattern(rows({{0, 0, 1, 2, 4, 4, 5}}), 7, true);
  EXPECT_EQ(pattern.kind, Kind::kDocuments);
  EXPECT_EQ(starts_of(pattern), (std::vector<int>{0, 4, 7}));
  EXPECT_EQ(pattern.window, 2);
  EXPECT_EQ(pattern.longest, 4);
}

TEST(KeyPattern, WhatFitsNone) {
  const auto kind = [](const at::Tensor& first_key, int64_t keys, bool causal) {
    return find_key_pattern(first_key, keys, causal).kind;
  };
  EXPECT_EQ(kind(rows({{2, 2, 2, 2}}), 4, true), Kind::kAny);                // left padding: queries that see nothing
  EXPECT_EQ(kind(rows({{0, 0, 1, 1}}), 4, true), Kind::kAny);                // a document that begins before its start
  EXPECT_EQ(kind(rows({{0, 0, 1, 2}, {0, 0, 0, 1}}), 4, true), Kind::kAny);  // windows of different widths
  EXPECT_EQ(kind(rows({{0, 0, 2, 2}}), 4, false), Kind::kAny);               // not causal
  EXPECT_EQ(kind(rows({{3, 3}, {2, 2}}), 8, true), Kind::kAny);              // padding beside a cache
  EXPECT_EQ(kind(rows({{0, 0, 1, 1}}), 3, true), Kind::kAny);                // more queries than keys
  EXPECT_EQ(kind(rows({{9, 9, 9}}), 3, true), Kind::kAny);                   // nothing seen at all
  EXPECT_EQ(kind(rows({{1, 2, 3}}), 3, true), Kind::kAny);                   // nor here
}

TEST(KeyPattern, KnownWithoutReading) {
  const at::Tensor first_key = rows({{0, 0, 2, 3, 4, 5}, {0, 1, 1, 2, 3, 4}});  // documents, a window of 2
  const KeyPattern found = find_key_pattern(first_key, 6, true);
  const DocumentStarts documents{found.starts, 5};
  const KeyPattern known = known_key_pattern(6, 2, first_key, documents);
  EXPECT_EQ(known.kind, found.kind);
  EXPECT_EQ(known.window, found.window);
  EXPECT_EQ(known.longest, 5);
  EXPECT_TRUE(known.starts.is_same(found.starts));
  EXPECT_TRUE(known.first_key.is_same(first_key));
  EXPECT_EQ(known_key_pattern(6, 6, first_key, documents).window, 0);  // hides nothing
  const KeyPattern window = known_key_pattern(6, 5, first_key, {});
  EXPECT_EQ(window.kind, Kind::kSequences);
  EXPECT_EQ(window.window, 5);
}

TEST(KeyPattern, IsFoundOnceForATensorAsItStands) {
  at::Tensor first_key = rows({{0, 0, 2, 2}});
  const Options options{true, std::nullopt, first_key};
  const auto found = key_pattern_of(options, 4);
  EXPECT_EQ(found->kind, Kind::kDocuments);
  EXPECT_EQ(key_pattern_of(options, 4), found);
  EXPECT_NE(key_pattern_of(options, 5), found);
  EXPECT_NE(key_pattern_of({true, std::nullopt, first_key.clone()}, 4), found);
  first_key.fill_(0);
  EXPECT_EQ(key_pattern_of(options, 4)->kind, Kind::kSequences);
  EXPECT_FALSE(key_pattern_of({}, 4)->first_key.defined());
}

}  // namespace
}  // namespace skipattn::attention::cuda
