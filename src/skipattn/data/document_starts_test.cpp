#include "skipattn/data/document_starts.h"

#include <gtest/gtest.h>

namespace skipattn::data {
namespace {

TEST(DocumentStarts, AreCountedFromTheFirstOfTheRows) {
  Batch batch;
  batch.rows = 3;
  batch.context = 4;
  batch.first_key = {0, 0, 2, 3, /**/ 0, 0, 0, 0, /**/ 0, 1, 1, 1};
  EXPECT_EQ(document_starts(batch, 0, 3), (std::vector<int32_t>{0, 2, 3, 4, 8, 9}));
  EXPECT_EQ(document_starts(batch, 1, 2), (std::vector<int32_t>{0, 4, 5}));
  EXPECT_EQ(document_starts(batch, 2, 1), (std::vector<int32_t>{0, 1}));
}

}  // namespace
}  // namespace skipattn::data
