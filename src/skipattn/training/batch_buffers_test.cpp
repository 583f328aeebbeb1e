#include "skipattn/training/batch_buffers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

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
  if (document_mask) batch.first_key.assign(batch.tokens.begin(), batch.tokens.end());
  return batch;
}

TEST(BatchBuffers, MicroBatchesAreRowsOfTheBatch) {
  BatchBuffers buffers(at::kCPU);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, true)));
  const model::Input input = buffers.input(1, 2);
  EXPECT_TRUE(at::equal(input.tokens, at::arange(3, 9).view({2, 3})));
  EXPECT_TRUE(at::equal(*input.first_key, at::arange(3, 9, at::kInt).view({2, 3})));
  EXPECT_FALSE(input.positions.has_value());
  EXPECT_TRUE(at::equal(buffers.targets(1, 2), at::arange(4, 10)));
}

TEST(BatchBuffers, TheyMoveOnlyWithTheShape) {
  BatchBuffers buffers(at::kCPU);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, false)));
  const void* place = buffers.input(0, 4).tokens.data_ptr();
  data::Batch next = make_batch(4, 3, false);
  next.tokens[0] = 77;
  EXPECT_FALSE(buffers.fill(next));
  EXPECT_EQ(buffers.input(0, 4).tokens.data_ptr(), place);
  EXPECT_EQ(buffers.input(0, 1).tokens[0][0].item<int64_t>(), 77);
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, true)));
  EXPECT_TRUE(buffers.fill(make_batch(4, 3, false)));
  EXPECT_FALSE(buffers.input(0, 4).first_key.has_value());
  EXPECT_TRUE(buffers.fill(make_batch(2, 6, false)));
}

}  // namespace
}  // namespace skipattn::training
