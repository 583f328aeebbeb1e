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
  EXPECT_FALSE(buffers.input(0).document_starts.has_value());
  EXPECT_TRUE(buffers.fill(make_batch(2, 6, false)));
}

TEST(BatchBuffers, DocumentsStayInTheirPlacesUntilThereIsNoRoomForThem) {
  BatchBuffers buffers(at::kCPU, 1);
  data::Batch batch = make_batch(2, 8, false);
  batch.first_key = {0, 0, 0, 3, 3, 3, 3, 3, /**/ 0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_TRUE(buffers.fill(batch));
  EXPECT_TRUE(at::equal(*buffers.input(0).document_starts, at::tensor({0, 3, 8, 8, 8}, at::kInt)));
  EXPECT_TRUE(at::equal(*buffers.input(1).document_starts, at::tensor({0, 8, 8, 8, 8}, at::kInt)));
  batch.first_key = {0, 0, 0, 3, 4, 5, 5, 5, /**/ 0, 0, 0, 0, 0, 0, 0, 7};
  EXPECT_FALSE(buffers.fill(batch));  // four documents: as many as there is room for
  EXPECT_TRUE(at::equal(*buffers.input(0).document_starts, at::tensor({0, 3, 4, 5, 8}, at::kInt)));
  EXPECT_TRUE(at::equal(*buffers.input(1).document_starts, at::tensor({0, 7, 8, 8, 8}, at::kInt)));
  batch.first_key[1] = 1;
  EXPECT_TRUE(buffers.fill(batch));
  EXPECT_EQ(buffers.input(0).document_starts->numel(), 17);
}

}  // namespace
}  // namespace skipattn::training
