#include "skipattn/training/batch_buffers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace skipattn::training {
namespace {

data::Batch make_batch(int64_t rows, int64_t context, bool document_mask) {
  data::Batch batch;
  batch.rows = rows;
  batch.context = context;
  batch.tokens.resize(rows * context);
  std::iota(batch.tokens.begin(), batch.tokens.end(), 0);
  for (const int64_t token : batch.tokens) batch.targets.push_back(token + 1);
  for (int64_t i = 0; document_mask && i < rows * context; ++i)  // documents of one token, and then of the rest
    batch.first_key.push_back(i % context > 0);
  return batch;
}

TEST(BatchBuffers, MicroBatchesAreRowsOfTheBatch) {
  BatchBuffers buffers(at::kCPU, 2);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, true)));
  const model::Input input = buffers.input(1);
  EXPECT_TRUE(at::equal(input.tokens, at::arange(6, 12).view({2, 3})));
  EXPECT_TRUE(at::equal(*input.first_key, at::tensor({0, 1, 1, 0, 1, 1}, at::kInt).view({2, 3})));
  EXPECT_FALSE(input.positions.has_value());
  EXPECT_TRUE(at::equal(buffers.targets(1), at::arange(7, 13)));
}

TEST(BatchBuffers, TheyMoveOnlyWithTheShape) {
  BatchBuffers buffers(at::kCPU, 2);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, false)));
  const void* place = buffers.input(0).tokens.data_ptr();
  data::Batch next = make_batch(4, 3, false);
  next.tokens[0] = 77;
  EXPECT_FALSE(buffers.fill(next));
  EXPECT_EQ(buffers.input(0).tokens.data_ptr(), place);
  EXPECT_EQ(buffers.input(0).tokens[0][0].item<int64_t>(), 77);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, true)));
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, false)));
  EXPECT_FALSE(buffers.input(0).first_key.has_value());
  EXPECT_FALSE(buffers.input(0).documents.has_value());
  EXPECT_TRUE(buffers.fill(make_batch(2, 6, false)));
}

/// Rows of 200 tokens in which documents begin at these places.
data::Batch documents_at(const std::vector<std::vector<int>>& begins) {
  data::Batch batch = make_batch(std::ssize(begins), 200, false);
  for (const std::vector<int>& row : begins)
    for (int i = 0, start = 0; i < 200; ++i) {
      if (std::ranges::find(row, i) != row.end()) start = i;
      batch.first_key.push_back(start);
    }
  return batch;
}

std::vector<int> evenly(int step) {
  std::vector<int> begins;
  for (int i = 0; i < 200; i += step) begins.push_back(i);
  return begins;
}

/// The list as far as it says something, and how long it is.
std::pair<std::vector<int>, int64_t> starts_of(const BatchBuffers& buffers, int64_t number) {
  const at::Tensor starts = buffers.input(number).documents->starts;
  std::vector<int> used(starts.data_ptr<int>(), starts.data_ptr<int>() + starts.numel());
  while (used.size() > 1 && used[used.size() - 2] == used.back()) used.pop_back();
  return {used, starts.numel()};
}

TEST(BatchBuffers, DocumentsStayInTheirPlacesWhileThereIsRoomForThem) {
  using Starts = std::pair<std::vector<int>, int64_t>;
  BatchBuffers buffers(at::kCPU, 1);
  EXPECT_TRUE(buffers.fill(documents_at({{0, 90}, {0, 10, 110}})));
  EXPECT_EQ(starts_of(buffers, 0), (Starts{{0, 90, 200}, 17}));
  EXPECT_EQ(starts_of(buffers, 1), (Starts{{0, 10, 110, 200}, 17}));
  EXPECT_EQ(buffers.input(0).documents->longest, 128);
  EXPECT_FALSE(buffers.fill(documents_at({evenly(13), {0, 100}})));  // sixteen documents
  EXPECT_EQ(starts_of(buffers, 0).first.size(), 17U);
  EXPECT_EQ(starts_of(buffers, 1), (Starts{{0, 100, 200}, 17}));
  EXPECT_TRUE(buffers.fill(documents_at({evenly(5), {0, 100}})));  // forty
  EXPECT_EQ(starts_of(buffers, 1), (Starts{{0, 100, 200}, 65}));
  EXPECT_FALSE(buffers.fill(documents_at({evenly(4), {0, 72}})));  // one of 128 tokens
  EXPECT_TRUE(buffers.fill(documents_at({evenly(4), {0, 71}})));
  EXPECT_EQ(buffers.input(0).documents->longest, 200);
  EXPECT_FALSE(buffers.fill(documents_at({{0}, {0}})));
  EXPECT_EQ(starts_of(buffers, 0), (Starts{{0, 200}, 65}));
}

TEST(BatchBuffers, DocumentsOfAMicroBatchAreCountedThroughItsRows) {
  BatchBuffers buffers(at::kCPU, 2);
  buffers.fill(documents_at({{0}, {0, 7}, {0, 9}, {0}}));
  EXPECT_EQ(starts_of(buffers, 0).first, (std::vector<int>{0, 200, 207, 400}));
  EXPECT_EQ(starts_of(buffers, 1).first, (std::vector<int>{0, 9, 200, 400}));
}

}  // namespace
}  // namespace skipattn::training
