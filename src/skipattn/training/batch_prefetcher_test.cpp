#include "skipattn/training/batch_prefetcher.h"

#include <gtest/gtest.h>

#include <memory>

#include "skipattn/core/errors.h"
#include "skipattn/data/token_test_files.h"

namespace skipattn::training {
namespace {

std::shared_ptr<const data::TokenFiles> open(const std::string& path) {
  return std::make_shared<const data::TokenFiles>(std::vector<std::string>{path});
}

TEST(BatchPrefetcher, BatchesAreTheLoadersInAnyOrder) {
  const io::TestFolder folder;
  const data::Loader loader(open(data::write_documents(folder, "a.bin", {100})), {.context = 8, .batch_size = 3});
  BatchPrefetcher prefetcher(loader, 6);
  for (const int64_t step : {0, 1, 2, 4, 5, 3, 7}) {
    const data::Batch found = prefetcher.get(step), expected = loader.get(step);
    EXPECT_EQ(found.tokens, expected.tokens) << step;
    EXPECT_EQ(found.targets, expected.targets) << step;
  }
}

TEST(BatchPrefetcher, AFaultIsThatOfItsOwnStep) {
  const io::TestFolder folder;
  // 0, 1, …, 32: ids of the second step are outside the vocabulary.
  std::vector<uint16_t> ids(33);
  std::iota(ids.begin(), ids.end(), 0);
  const data::Loader loader(open(folder.write("raw.bin", data::raw_bytes(ids)).string()),
                            {.context = 8, .batch_size = 2, .vocab_size = 17});
  BatchPrefetcher prefetcher(loader, 2);
  EXPECT_EQ(prefetcher.get(0).tokens.size(), 16u);
  EXPECT_THROW(prefetcher.get(1), InputError);
}

}  // namespace
}  // namespace skipattn::training
