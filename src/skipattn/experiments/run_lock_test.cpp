#include "skipattn/experiments/run_lock.h"

#include <gtest/gtest.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::experiments {
namespace {

TEST(RunLock, IsHeldOnceAndLetGo) {
  const io::TestFolder folder;
  const std::filesystem::path run = folder.path() / "runs" / "sla" / "seed-1";
  auto first = RunLock::take(run);
  ASSERT_TRUE(first);
  EXPECT_FALSE(RunLock::take(run));
  EXPECT_TRUE(RunLock::take(folder.path() / "runs" / "sla" / "seed-2"));
  const RunLock moved = std::move(*first);
  first.reset();
  EXPECT_FALSE(RunLock::take(run));
  { const RunLock gone = RunLock::take(folder.path() / "other").value(); }
  EXPECT_TRUE(RunLock::take(folder.path() / "other"));
}

TEST(RunLock, SaysWhereItCannotBe) {
  EXPECT_THROW(RunLock::take("/proc/nowhere"), RunError);
}

}  // namespace
}  // namespace skipattn::experiments
